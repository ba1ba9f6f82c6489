"""How a cached value becomes bytes: typed, never a pickle, compressed where that pays.

The bytes begin with a mark of the version and the compression; the data follows. A client that can write to
the cache's Redis can make a replica read data, but not run code or fill its memory.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final

import zstandard

from lgs_runtime.cache.value_packing import pack, unpack
from lgs_runtime.cache.value_types import Unreadable
from lgs_runtime.tracebacks import text_of

PLAIN: Final = b"lgs2\x00"
ZSTD: Final = b"lgs2\x01"
LEAST_SAVED: Final = 0.2
"""Compression must save this share, or the value stays as it is: it is read more often than written."""
LEVEL: Final = 1
MOST_BYTES: Final = 16 * 1024 * 1024
"""Largest size of one value, before compression."""


class NotStorable(Exception):
    """A value that can't be cached; says why."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value as bytes, and what compression saved of them."""

    raw: bytes
    saved: int


class Encoding:
    """Encodes and decodes values; those of at least `threshold_bytes` are compressed. Thread-safe."""

    def __init__(self, threshold_bytes: int) -> None:
        self.threshold_bytes = threshold_bytes
        self._local = threading.local()

    def dumps(self, value: Any) -> Encoded:
        """The bytes of a value. Raises `NotStorable`."""
        try:
            raw = pack(value, MOST_BYTES)
        # A value's own methods may raise anything when its parts are read.
        except Exception as failed:
            raise NotStorable(f"{type(value).__name__}: {text_of(failed)}") from failed
        if len(raw) > MOST_BYTES:
            raise NotStorable(f"{len(raw)} bytes, and {MOST_BYTES} are the most")
        if len(raw) >= self.threshold_bytes:
            packed = self._compressor().compress(raw)
            if len(packed) <= (1 - LEAST_SAVED) * len(raw):
                return Encoded(ZSTD + packed, len(raw) - len(packed))
        return Encoded(PLAIN + raw, 0)

    def loads(self, stored: bytes) -> Any:
        """Decodes bytes. Raises `Unreadable` if they are somebody else's, of another version, or
        truncated."""
        head, raw = stored[: len(PLAIN)], stored[len(PLAIN) :]
        if head == ZSTD:
            raw = _decompressed(raw)
        elif head != PLAIN:
            raise Unreadable("it is not of this version")
        return unpack(raw)

    def _compressor(self) -> zstandard.ZstdCompressor:
        # A compressor must not be used by two threads at once.
        found: zstandard.ZstdCompressor | None = getattr(self._local, "compressor", None)
        if found is None:
            found = self._local.compressor = zstandard.ZstdCompressor(level=LEVEL)
        return found


def _decompressed(packed: bytes) -> bytes:
    try:
        # Decompression allocates the size that the frame declares, so that is checked first.
        size = zstandard.frame_content_size(packed)
        if not 0 <= size <= MOST_BYTES:
            raise Unreadable(f"it says to hold {size} bytes, and {MOST_BYTES} are the most")
        return zstandard.ZstdDecompressor().decompress(packed)
    except zstandard.ZstdError as broken:
        raise Unreadable(f"it can't be unpacked: {broken}") from broken
