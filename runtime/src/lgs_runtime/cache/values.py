"""The values of a cache: in memory, and in Redis behind it, for any task and thread.

A failure costs a hit and is counted; it never fails a run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import monotonic as now
from typing import Any, Final, Self

from lgs_runtime.cache.forgetting import Forgetting
from lgs_runtime.cache.found import Found, Life
from lgs_runtime.cache.learning import Learner
from lgs_runtime.cache.loop import on_a_loop
from lgs_runtime.cache.memory import MemoryCache
from lgs_runtime.cache.place import KeyNames, Place
from lgs_runtime.cache.replicas import Replicas
from lgs_runtime.cache.shared import SharedCache, Stored, Written
from lgs_runtime.cache.single_flight import Flights
from lgs_runtime.cache.statistics import REDIS, Statistics, WarmupCounts
from lgs_runtime.cache.value_encoding import Encoding, NotStorable
from lgs_runtime.cache.value_types import Unreadable

LEASE_SECONDS: Final = 10.0
"""For how many seconds a replica that died keeps others from computing its values."""
SHARED_SECONDS: Final = 60.0
"""For how many seconds at most memory keeps an entry that it had from Redis."""


class Values(Forgetting):
    """Values by place. Redis is asked in the event loop in which `open` was called. All methods except
    `close` may be called from any other event loop, and those that are not coroutines from any thread."""

    def __init__(
        self,
        shared: SharedCache | None = None,
        *,
        service: str = "default",
        ttl_seconds: float = 3600.0,
        compression_threshold_bytes: int = 1024,
        user: Callable[[], str | None] = lambda: None,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        """`user` returns the user for whom code runs."""
        super().__init__()
        self.ttl_seconds = ttl_seconds
        self.user = user
        self.statistics = Statistics()
        self.warmup = WarmupCounts()
        self.learner = Learner(self.statistics)
        self.memory = MemoryCache()
        self.flights = Flights()
        self._encoding = Encoding(compression_threshold_bytes)
        self._keys = KeyNames(service)
        self._lease_seconds = lease_seconds
        self.refreshes_anew = True
        """Whether values may be computed in the background."""
        self._replicas = (
            None
            if shared is None
            else Replicas(
                shared,
                self.flights,
                lease_seconds=lease_seconds,
                changed=self._changed,
                failed=partial(self.statistics.failed, REDIS),
            )
        )

    def in_memory(self) -> Self:
        """A new one with the same `ttl_seconds`, compression and `user`, empty and without Redis."""
        return type(self)(
            ttl_seconds=self.ttl_seconds,
            compression_threshold_bytes=self._encoding.threshold_bytes,
            user=self.user,
        )

    def open(self) -> None:
        """Starts to ask Redis, from the running event loop. Redis may still be away."""
        self.loop = asyncio.get_running_loop() if self._replicas is not None else None

    async def close(self) -> None:
        """Ends what runs in the background, and closes the connections."""
        self.loop = None
        self.stop_refreshing()
        await self.end_tasks()
        if self._replicas is not None:
            await self._replicas.close()

    def stop_refreshing(self) -> None:
        """Computes nothing more in the background, because the replica is stopping."""
        self.refreshes_anew = False

    @property
    def redis(self) -> str:
        """The state of Redis: `none`, `up` or `away`."""
        return "none" if self._replicas is None else "up" if self._replicas.up else "away"

    @property
    def changes(self) -> int:
        """How many changes other replicas have announced; the subscription itself counts as one."""
        return 0 if self._replicas is None else self._replicas.changes

    def place(self, namespace: str, *parts: str | bytes) -> Place:
        """The place of the value that these parts distinguish from others of the namespace."""
        return self._keys.place(namespace, *parts)

    def peek(self, place: Place) -> Found | None:
        """The value that memory holds, if any. Counts a hit, but no miss."""
        kept = self.memory.get(place.key)
        if kept is None:
            return None
        at = now()
        found = self._hit(place, kept.raw, fresh=at < kept.fresh_until, due=at >= kept.refresh_at)
        if found is None:
            self.memory.forget([place.key])
        return found

    async def read(self, places: Sequence[Place]) -> dict[Place, Found]:
        """The values that memory or Redis holds for these places. Counts hits and misses."""
        found = self._peeked(places)
        missing = [place for place in places if place not in found]
        found |= await self.on_loop(self._read_shared(missing))
        self._missed_of(places, found)
        return found

    def read_blocking(self, places: Sequence[Place]) -> dict[Place, Found]:
        """Like `read`, called from a thread. On an event loop's own thread, only memory is asked."""
        found = self._peeked(places)
        missing = [place for place in places if place not in found]
        if missing and not on_a_loop():
            found |= self.blocking(self._read_shared(missing)) or {}
        self._missed_of(places, found)
        return found

    async def write(self, values: Sequence[tuple[Place, Any, Life]], *, since: int | None = None) -> None:
        """Keeps values. `since`: the value of `cleared.times` when they were begun; those that were cleared
        since are left out."""
        if since is not None:
            values = [each for each in values if not self.cleared.covers(each[0].key, since)]
        await self.on_loop(self._write_shared(self._kept(values)))

    def write_blocking(self, values: Sequence[tuple[Place, Any, Life]]) -> None:
        """Like `write`, called from a thread. On an event loop's own thread, Redis gets them later."""
        self.blocking(self._write_shared(self._kept(values)))

    async def rates(self, asked: Mapping[str, int]) -> Mapping[str, float]:
        """Reports requests of keys, and returns the requests per second of each at all replicas."""
        if not asked:
            return {}
        return await self._ask(lambda shared: shared.count(asked)) or {}

    def unstorable(self, namespace: str, reason: str) -> None:
        """Counts a value that can't be cached, and logs the first."""
        self.statistics.failed(namespace, "cache.not_storable", reason)

    def _peeked(self, places: Sequence[Place]) -> dict[Place, Found]:
        return {place: found for place in places if (found := self.peek(place)) is not None}

    async def _read_shared(self, places: Sequence[Place]) -> dict[Place, Found]:
        if not places or self._replicas is None:
            return {}
        before, keys = self._replicas.state, [place.key for place in places]
        stored = await self._ask(lambda shared: shared.read(keys)) or ()
        pairs = [(place, entry) for place, entry in zip(places, stored, strict=False) if entry]
        taken = {place: self._taken(place, entry, Life(0.0), before) for place, entry in pairs}
        return {place: found for place, found in taken.items() if found is not None}

    def _kept(self, values: Sequence[tuple[Place, Any, Life]]) -> list[Written]:
        encoded = [self._encoded(place, value, life) for place, value, life in values]
        return [entry for entry in encoded if entry is not None]

    async def _write_shared(self, entries: Sequence[Written]) -> None:
        if entries:
            await self._ask(lambda shared: shared.write(entries))

    def _early(self, place: Place, life: Life) -> float:
        """How many seconds before it expires a value may be recomputed by a caller that finds it."""
        return self.learner.early(place.namespace, place.key, life.fresh_seconds) if life.ahead else 0.0

    def _missed_of(self, places: Sequence[Place], found: Mapping[Place, Found]) -> None:
        for place in places:
            if place not in found:
                self._missed(place)

    def _missed(self, place: Place) -> None:
        self.learner.asked(place)
        self.statistics.of(place.namespace).misses += 1

    def _hit(self, place: Place, raw: bytes, *, fresh: bool = True, due: bool = False) -> Found | None:
        counts = self.statistics.of(place.namespace)
        try:
            value = self._encoding.loads(raw)
        except Unreadable as unreadable:
            self.statistics.failed(place.namespace, "cache.unreadable", str(unreadable))
            return None
        counts.hits += 1
        counts.stale += not fresh
        self.learner.asked(place)
        return Found(value, fresh, due)

    def _taken(self, place: Place, entry: Stored, life: Life, before: int) -> Found | None:
        """The value of an entry from Redis. It is kept in memory too, unless something has changed since
        Redis was asked."""
        fresh_seconds = max(0.0, entry.left_seconds - life.stale_seconds)
        refresh_seconds = fresh_seconds - self._early(place, life)
        found = self._hit(place, entry.raw, fresh=fresh_seconds > 0, due=refresh_seconds <= 0)
        if found is not None:
            self.learner.stored(place.key, life.fresh_seconds, fresh_seconds)
        if found is not None and self._replicas is not None and self._replicas.state == before:
            fresh = min(fresh_seconds, SHARED_SECONDS)
            stale = min(entry.left_seconds, SHARED_SECONDS) - fresh
            self.memory.put(place.key, entry.raw, fresh, stale, shared=True, refresh_seconds=refresh_seconds)
        return found

    def _encoded(self, place: Place, value: Any, life: Life) -> Written | None:
        """Encodes a value and keeps it in memory; returns what to write to Redis, or None if it can't be
        kept."""
        try:
            encoded = self._encoding.dumps(value)
        except NotStorable as reason:
            self.unstorable(place.namespace, str(reason))
            return None
        shared = self._replicas is not None
        self.memory.put(
            place.key,
            encoded.raw,
            life.fresh_seconds,
            life.stale_seconds,
            shared=shared,
            refresh_seconds=life.fresh_seconds - self._early(place, life),
        )
        self.learner.stored(place.key, life.fresh_seconds, life.fresh_seconds)
        counts = self.statistics.of(place.namespace)
        counts.sets += 1
        counts.bytes += len(encoded.raw)
        counts.bytes_saved += encoded.saved
        return Written(place.key, encoded.raw, life.fresh_seconds + life.stale_seconds)
