"""Invalidation: deletes values in memory, in Redis and in the other replicas. No value that was read or
computed before an invalidation is kept after it.

Until Redis has deleted a value, a read under way may still return the old one. So memory drops it twice: at
once, for the next caller, and again after Redis has, for what was read in between.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from lgs_runtime.cache.learning import Learner
from lgs_runtime.cache.loop import LoopWork
from lgs_runtime.cache.memory import MemoryCache
from lgs_runtime.cache.place import KeyNames, Place
from lgs_runtime.cache.replicas import Replicas
from lgs_runtime.cache.shared import Change, SharedCache
from lgs_runtime.cache.single_flight import Flights
from lgs_runtime.cache.statistics import ALL, REDIS, Statistics

MOST_CLEARED: Final = 1000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many values were deleted, and whether everywhere: a Redis that did not answer, or not for all of
    them, keeps its own."""

    values: int
    everywhere: bool


class Cleared:
    """The latest clears, at most `MOST_CLEARED`: the key prefix of each, and when it was. Thread-safe."""

    def __init__(self) -> None:
        self.times = 0
        """The number of clears so far."""
        self._last: dict[str, int] = {}
        self._known_since = 0
        self._lock = threading.Lock()

    def note(self, prefix: str) -> None:
        """Records that all keys with this prefix were cleared."""
        with self._lock:
            self.times += 1
            self._last.pop(prefix, None)
            self._last[prefix] = self.times
            if len(self._last) > MOST_CLEARED:
                self._known_since = self._last.pop(next(iter(self._last)))

    def covers(self, key: str, since: int) -> bool:
        """Whether a key was cleared, or may have been, since `times` was `since`."""
        if since == self.times:
            return False
        with self._lock:
            return since < self._known_since or any(
                at > since and key.startswith(prefix) for prefix, at in self._last.items()
            )


class Forgetting(LoopWork):
    """Deletes the values of a cache, one by one or by prefix."""

    statistics: Statistics
    learner: Learner
    memory: MemoryCache
    flights: Flights
    _keys: KeyNames
    _replicas: Replicas | None

    def __init__(self) -> None:
        super().__init__()
        self.cleared = Cleared()

    async def forget(self, place: Place) -> bool:
        """Deletes a value everywhere; returns whether there was one. A value being computed is not kept."""
        here = self._forget_key(place.key)
        there = await self.on_loop(self._forget_shared(place))
        return self._deleted(place.namespace, here or bool(there)) > 0

    def forget_blocking(self, place: Place) -> bool:
        """Like `forget`, called from a thread. On an event loop's own thread, Redis is asked later and not
        counted."""
        here = self._forget_key(place.key)
        there = self.blocking(self._forget_shared(place))
        return self._deleted(place.namespace, here or bool(there)) > 0

    async def clear(self, namespace: str | None = None) -> int:
        """Deletes a namespace (None: all) everywhere; returns how many values there were."""
        return (await self.clear_told(namespace)).values

    async def clear_told(self, namespace: str | None = None) -> Forgotten:
        """Like `clear`, and says whether all of it is gone."""
        return await self._cleared_by(self._keys.prefix(namespace), namespace or ALL)

    async def clear_within(self, name: str) -> int:
        """Deletes all namespaces `name/…` everywhere, whoever filled them; returns how many values there
        were."""
        return (await self._cleared_by(self._keys.prefix_within(name), ALL)).values

    def clear_blocking(self, namespace: str | None = None) -> int:
        """Like `clear`, called from a thread. On an event loop's own thread, Redis is asked later and not
        counted."""
        return self._cleared_by_blocking(self._keys.prefix(namespace), namespace or ALL)

    def clear_within_blocking(self, name: str) -> int:
        """Like `clear_within`, called from a thread."""
        return self._cleared_by_blocking(self._keys.prefix_within(name), ALL)

    async def _cleared_by(self, prefix: str, counted_as: str) -> Forgotten:
        here = self._clear_here(prefix)
        there = await self.on_loop(self._clear_shared(prefix))
        values = self._deleted(counted_as, max(here, there or 0))
        return Forgotten(values, self._replicas is None or there is not None)

    def _cleared_by_blocking(self, prefix: str, counted_as: str) -> int:
        here = self._clear_here(prefix)
        there = self.blocking(self._clear_shared(prefix))
        return self._deleted(counted_as, max(here, there or 0))

    def _forget_key(self, key: str) -> int:
        self.learner.gone(key)
        self.flights.outdate_one(key)
        return self.memory.forget([key])

    def _clear_here(self, prefix: str) -> int:
        self.cleared.note(prefix)
        self.learner.all_gone(prefix)
        self.flights.outdate(prefix)
        return self.memory.clear(prefix)

    def _deleted(self, namespace: str, values: int) -> int:
        if values:
            # Anybody may clear a name that has no values: it makes no row in the statistics.
            self.statistics.of(namespace).deletes += values
        return values

    async def _forget_shared(self, place: Place) -> bool | None:
        there = await self._ask(lambda shared: shared.forget(place.key))
        return await self._told(Change(key=place.key), there)

    async def _clear_shared(self, prefix: str) -> int | None:
        there = await self._ask(lambda shared: shared.clear(prefix))
        return await self._told(Change(prefix=prefix), there)

    async def _told(self, change: Change, there: T | None) -> T | None:
        """Announces a change to the other replicas, and returns what Redis answered (`there`); None if either
        failed."""
        self._changed_here(change)

        async def announced(shared: SharedCache) -> bool:
            await shared.announce(change)
            return True

        told = await self._ask(announced)
        if self._replicas is None or (there is not None and told):
            return there
        self.statistics.failed(REDIS, "cache.not_forgotten", "Redis did not answer, and keeps what it has")
        return None

    async def _ask(self, question: Callable[[SharedCache], Awaitable[T]]) -> T | None:
        return None if self._replicas is None else await self._replicas.ask(question)

    def _changed_here(self, change: Change) -> None:
        """Called after Redis was asked to apply this replica's change: drops what was read in between."""
        if self._replicas is not None:
            self._replicas.changed_here()
            self._changed(change)

    def _changed(self, change: Change) -> None:
        """Applies a change to memory; an empty one means that anything in Redis may have changed unseen."""
        if change.key:
            self._forget_key(change.key)
        elif change.prefix:
            self._clear_here(change.prefix)
        else:
            self.memory.forget_shared()
