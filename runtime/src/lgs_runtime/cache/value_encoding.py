"""How a cached value becomes bytes: LangGraph's serializer, never pickle, compressed where that pays.

The form is `kind[+zlib]`, a line feed, then the data. Whoever can write to the cache's Redis can make a
replica read plain data, but not run code, and not fill its memory.
"""

from __future__ import annotations

import zlib
from typing import Any

from langgraph.checkpoint.serde.base import SerializerProtocol

SEPARATOR = b"\n"
COMPRESSED = "+zlib"
LEAST_SAVED = 0.2
"""Compression must save this share, or the value stays as it is: it is read more often than written."""
LEVEL = 1
MOST_BYTES = 256 * 1024 * 1024


class Encoding:
    """Encodes with `serde`; values of at least `threshold_bytes` are compressed."""

    def __init__(self, serde: SerializerProtocol, threshold_bytes: int) -> None:
        self._serde = serde
        self._threshold_bytes = threshold_bytes

    def dumps(self, value: Any) -> bytes:
        """The bytes of a value."""
        kind, raw = self._serde.dumps_typed(value)
        if len(raw) >= self._threshold_bytes:
            packed = zlib.compress(raw, LEVEL)
            if len(packed) <= (1 - LEAST_SAVED) * len(raw):
                kind, raw = kind + COMPRESSED, packed
        return kind.encode() + SEPARATOR + raw

    def loads(self, stored: bytes) -> Any:
        """The value of bytes. Raises `ValueError`, `TypeError` or `NotImplementedError` for foreign ones."""
        head, _, raw = stored.partition(SEPARATOR)
        kind = head.decode()
        if kind.endswith(COMPRESSED):
            kind, raw = kind.removesuffix(COMPRESSED), _unpack(raw)
        return self._serde.loads_typed((kind, raw))


def _unpack(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(packed, MOST_BYTES)
    except zlib.error as broken:
        raise ValueError(f"cached value can't be unpacked: {broken}") from broken
    if not unpacker.eof:
        raise ValueError(f"cached value can't be unpacked: cut short, or larger than {MOST_BYTES} bytes")
    return raw
