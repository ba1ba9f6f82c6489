"""The entries that a replica keeps in its own memory: encoded, bounded in number and bytes."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence

MOST_ENTRIES = 2_048
MOST_BYTES = 64 * 1024 * 1024


class MemoryLru:
    """Encoded entries by key: the least recently used go first, at most so many bytes, each until its time
    is up."""

    def __init__(self, most_entries: int = MOST_ENTRIES, most_bytes: int = MOST_BYTES) -> None:
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._bytes = 0

    def get(self, key: str) -> bytes | None:
        """An entry whose time is not up."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] < time.monotonic():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def put(self, key: str, value: bytes, ttl_seconds: float) -> None:
        """Keeps an entry for so long."""
        self._drop(key)
        self._entries[key] = (time.monotonic() + ttl_seconds, value)
        self._bytes += len(value)
        while self._entries and (len(self._entries) > self._most_entries or self._bytes > self._most_bytes):
            self._drop(next(iter(self._entries)))

    def clear(self, prefixes: Sequence[str] | None) -> None:
        """Forgets what starts with one of the prefixes, or all."""
        gone = [k for k in self._entries if prefixes is None or k.startswith(tuple(prefixes))]
        for key in gone:
            self._drop(key)

    def _drop(self, key: str) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self._bytes -= len(entry[1])
