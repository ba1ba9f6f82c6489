"""The entries that a replica keeps in its own memory: encoded, and bounded in number and bytes. Thread-safe,
since sync nodes and tools run in threads.

Where key popularity is known, an entry that leaves the window of the newest stays only if it is requested
more often than the entry that would have to go (W-TinyLFU). Otherwise the least recently used entry goes.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

MOST_ENTRIES = 2_048
MOST_BYTES = 64 * 1024 * 1024
WINDOW = 0.2
"""Share of the entries that are kept because they are new."""


@dataclass(slots=True)
class Kept:
    """An entry, which is fresh until one time of the monotonic clock and available until another."""

    raw: bytes
    fresh_until: float
    until: float
    shared: bool
    """Whether Redis has it too, so that others may change it."""
    refresh_at: float
    """When a caller that finds it may recompute it, at the earliest."""


Entries = OrderedDict[str, Kept]


class MemoryCache:
    """Encoded entries by key, bounded in number and bytes, each until it expires."""

    def __init__(
        self,
        most_entries: int = MOST_ENTRIES,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.popular: Callable[[str], int] | None = None
        """Returns how often a key is requested; None: nobody counts."""
        self._newest: Entries = OrderedDict()
        self._entries: Entries = OrderedDict()
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries) + len(self._newest)

    def get(self, key: str) -> Kept | None:
        """The entry of a key, unless it has expired."""
        with self._lock:
            among = self._entries if key in self._entries else self._newest
            entry = among.get(key)
            if entry is None:
                return None
            if entry.until < self._clock():
                self._drop(key)
                return None
            among.move_to_end(key)
            return entry

    def put(
        self,
        key: str,
        raw: bytes,
        fresh_seconds: float,
        stale_seconds: float = 0.0,
        *,
        shared: bool = False,
        refresh_seconds: float | None = None,
    ) -> None:
        """Keeps an entry that is fresh for `fresh_seconds`, then stale for `stale_seconds`. It may be
        recomputed after `refresh_seconds` (None: once it is no longer fresh)."""
        now = self._clock()
        until = now + fresh_seconds
        refresh_at = until if refresh_seconds is None else now + refresh_seconds
        entry = Kept(raw, until, until + stale_seconds, shared, refresh_at)
        with self._lock:
            among = self._entries if key in self._entries else self._newest
            self._drop(key)
            if len(raw) > self._most_bytes:
                return
            among[key] = entry
            self.bytes += len(raw)
            self._make_room(now)

    def refresh_at(self, key: str) -> float | None:
        """When an entry may be recomputed, at the earliest; None if there is no entry."""
        entry = self._entries.get(key) or self._newest.get(key)
        return None if entry is None else entry.refresh_at

    def postpone(self, key: str, seconds: float) -> None:
        """Lets an entry be recomputed only after so many seconds."""
        entry = self._entries.get(key) or self._newest.get(key)
        if entry is not None:
            entry.refresh_at = max(entry.refresh_at, self._clock() + seconds)

    def forget(self, keys: Sequence[str]) -> int:
        """Drops these keys; returns how many were there."""
        with self._lock:
            return sum(self._drop(key) for key in keys)

    def clear(self, prefix: str = "") -> int:
        """Drops all keys with this prefix; returns how many were there."""
        with self._lock:
            return sum(self._drop(key) for key in [key for key, _ in self._all() if key.startswith(prefix)])

    def forget_shared(self) -> None:
        """Drops the entries that Redis has too: they may have changed there unseen."""
        with self._lock:
            for key in [key for key, entry in self._all() if entry.shared]:
                self._drop(key)

    def _all(self) -> Iterator[tuple[str, Kept]]:
        yield from self._entries.items()
        yield from self._newest.items()

    def _make_room(self, now: float) -> None:
        newest = int(WINDOW * self._most_entries) if self.popular is not None else 0
        while len(self._newest) > newest:
            key, entry = self._newest.popitem(last=False)
            self._entries[key] = entry
            if len(self._entries) > self._most_entries - newest:
                self._drop(self._worst(key, now))
        while len(self) > self._most_entries:
            self._drop(next(iter(self._entries)))
        while self.bytes > self._most_bytes:
            self._drop(self._worst(next(iter(self._newest), None), now))

    def _worst(self, candidate: str | None, now: float) -> str:
        """The key to drop: the least recently used one, or the candidate for a place among the others."""
        oldest = next(iter(self._entries), None)
        if oldest is None or candidate is None:
            return oldest or candidate or ""
        if self.popular is None or self._entries[oldest].until < now:
            return oldest
        return oldest if self.popular(candidate) > self.popular(oldest) else candidate

    def _drop(self, key: str) -> bool:
        entry = self._entries.pop(key, None) or self._newest.pop(key, None)
        if entry is None:
            return False
        self.bytes -= len(entry.raw)
        return True
