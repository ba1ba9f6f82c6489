"""The entries that a replica keeps in its own memory: encoded, bounded in number and bytes. Safe in threads:
sync nodes and tools run in some."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MOST_ENTRIES = 2_048
MOST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry: fresh until one moment of the monotonic clock, and to be had until another."""

    raw: bytes
    fresh_until: float
    until: float
    shared: bool
    """Whether Redis has it too, so that others may change it."""


class MemoryLru:
    """Encoded entries by key: the least recently used go first, at most so many bytes, each until its time
    is up."""

    def __init__(
        self,
        most_entries: int = MOST_ENTRIES,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._entries: OrderedDict[str, Kept] = OrderedDict()
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Kept | None:
        """An entry whose time is not up."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if entry.until < self._clock():
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            return entry

    def put(
        self, key: str, raw: bytes, fresh_seconds: float, stale_seconds: float = 0.0, *, shared: bool = False
    ) -> None:
        """Keeps an entry: fresh for so long, stale for so long after that."""
        now = self._clock()
        entry = Kept(raw, now + fresh_seconds, now + fresh_seconds + stale_seconds, shared)
        with self._lock:
            self._drop(key)
            if len(raw) > self._most_bytes:
                return
            self._entries[key] = entry
            self.bytes += len(raw)
            while len(self._entries) > self._most_entries or self.bytes > self._most_bytes:
                self._drop(next(iter(self._entries)))

    def forget(self, keys: Sequence[str]) -> int:
        """Forgets these; how many there were."""
        with self._lock:
            return sum(self._drop(key) for key in keys)

    def clear(self, prefix: str = "") -> int:
        """Forgets what starts so; how many there were."""
        with self._lock:
            return sum(self._drop(key) for key in [k for k in self._entries if k.startswith(prefix)])

    def forget_shared(self) -> None:
        """Forgets what Redis has too: it may have changed unseen."""
        with self._lock:
            for key in [key for key, entry in self._entries.items() if entry.shared]:
                self._drop(key)

    def _drop(self, key: str) -> bool:
        entry = self._entries.pop(key, None)
        if entry is None:
            return False
        self.bytes -= len(entry.raw)
        return True
