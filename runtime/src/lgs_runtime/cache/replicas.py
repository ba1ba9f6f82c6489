"""What the replicas of a service share of their caches: the entries and leases in Redis, and the
announcements of changes. Belongs to one event loop.

No call waits for a Redis that is away, or so slow that asking it costs more than it saves: one task checks
whether it is back. A Redis that refuses a command does not count as away; only that command has no answer.
Whenever a change may have been missed, memory drops its copies of shared entries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

import structlog

from lgs_runtime.cache.shared import Change, SharedCache, SharedCacheRefused, SharedCacheUnavailable
from lgs_runtime.cache.single_flight import Flight, Flights
from lgs_runtime.cancelling import cancelled

CHECK_SECONDS: Final = 0.5
SLOW_SECONDS: Final = 0.15
"""A ping that takes this many seconds is slow: a slow Redis is as good as away."""
LATE_SECONDS: Final = 0.5
"""An event loop that is this many seconds late may have given up on an answer that came in time."""
TURNS: Final = 10
"""Turns of the event loop within which an answer that has arrived is read, however busy the replica is."""
SLOW_PINGS: Final = 3
"""How many slow pings in a row make a slow Redis."""
MOST_ASKED: Final = 64
"""How many questions may be under way at a time. The time that one waits for its turn says nothing about
Redis: in a burst of thousands it is longer than any question may take."""
MOST_LEFT: Final = 1000
LEFT_SECONDS: Final = 60.0
"""For how many seconds the replica tries to give back a lease that it may have left in Redis."""
RENEWALS: Final = 0.3
"""A lease is renewed whenever this share of its life has passed."""
T = TypeVar("T")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Left:
    """A lease that may be in Redis: the questions that asked for it, and until when to try to give it
    back."""

    asked: tuple[asyncio.Future[Any], ...]
    until: float


class Replicas:
    """Asks the shared entries, while they answer."""

    def __init__(
        self,
        shared: SharedCache,
        flights: Flights,
        *,
        lease_seconds: float,
        changed: Callable[[Change], None],
        failed: Callable[[str, str], None],
    ) -> None:
        """`changed` is called with each change that other replicas announce, `failed` with an event and its
        reason, to count it."""
        self._shared = shared
        self._flights = flights
        self._lease_seconds = lease_seconds
        self._changed = changed
        self._failed = failed
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._asked: set[asyncio.Future[Any]] = set()
        self._turns = asyncio.Semaphore(MOST_ASKED)
        self._left: dict[tuple[str, str], _Left] = {}
        """Leases that may be in Redis although nobody computes under them."""
        self._closed = False
        self.changes = 0
        """The number of changes received so far."""
        self._changed_times = 0

    @property
    def up(self) -> bool:
        """Whether Redis is reachable, as far as is known."""
        return not self._busy("recovery")

    @property
    def state(self) -> int:
        """A number that differs after each change, whoever made it: a value requested before a change may be
        old."""
        return self.changes + self._changed_times

    def changed_here(self) -> None:
        """Notes a change by this replica, which is not announced to it."""
        self._changed_times += 1

    async def ask(
        self,
        question: Callable[[SharedCache], Awaitable[T]],
        begun: Callable[[asyncio.Future[T | None]], Any] = lambda asked: None,
    ) -> T | None:
        """The answer to a question; None if Redis is away or refuses. The question runs in a task of its own,
        which is passed to `begun`, and goes on if the caller is cancelled."""
        if not self.up:
            return None
        self._begin_to_listen()
        # In a task of its own: the driver may swallow a cancellation, and that of a run must not be lost.
        asked = self._begun(self._in_turn(question))
        begun(asked)
        suspected = asyncio.get_running_loop().call_later(SLOW_SECONDS, self._suspect)
        try:
            return await asyncio.shield(asked)
        finally:
            suspected.cancel()

    async def ask_leased(self, flight: Flight, question: Callable[[SharedCache], Awaitable[T]]) -> T | None:
        """Like `ask`, for a question that takes the lease of a flight, or ends it. If the answer is lost, the
        lease may be in Redis, where other replicas wait for its end: so it is given back as soon as Redis
        accepts that."""
        answer, may_be_there = None, self.up or flight.leased
        asked: list[asyncio.Future[T | None]] = []
        try:
            answer = await self.ask(question, asked.append)
            return answer
        finally:
            if answer is None and may_be_there:
                self._leave(flight, asked)

    async def release(self, flight: Flight) -> None:
        """Gives the lease of a flight back."""
        await self.ask_leased(flight, partial(_released, lease=(flight.key, flight.token)))

    def leased(self, flight: Flight) -> None:
        """Notes that this replica holds the lease of a flight, and renews it until the flight ends."""
        flight.leased = True
        if not self._busy("renew"):
            self._tasks["renew"] = asyncio.create_task(self._renew(), name="cache-leases")

    async def close(self) -> None:
        """Closes the connections."""
        self._closed = True
        while left := [task for task in (*self._tasks.values(), *self._asked) if not task.done()]:
            await cancelled(left)
        await self._shared.close()

    async def _in_turn(self, question: Callable[[SharedCache], Awaitable[T]]) -> T | None:
        async with self._turns:
            # Redis may have gone away while this waited for its turn.
            if self.up:
                try:
                    return await question(self._shared)
                except SharedCacheUnavailable as gone:
                    self._gone(gone)
                except SharedCacheRefused as refused:
                    self._failed("cache.redis_refused", str(refused))
            return None

    def _begun(self, asking: Awaitable[T]) -> asyncio.Future[T]:
        asked = asyncio.ensure_future(asking)
        self._asked.add(asked)
        asked.add_done_callback(self._ended)
        return asked

    def _ended(self, asked: asyncio.Future[Any]) -> None:
        self._asked.discard(asked)
        if not asked.cancelled():
            # Marks the exception as retrieved: the caller may be gone by now, and nobody else needs it.
            asked.exception()

    def _busy(self, name: str) -> bool:
        task = self._tasks.get(name)
        return task is not None and not task.done()

    def _gone(self, reason: SharedCacheUnavailable) -> None:
        self._failed("cache.redis_failed", str(reason))
        if self.up:
            log.warning("cache.redis_gone", reason=str(reason))
            self._tasks["recovery"] = asyncio.create_task(self._recover(), name="cache-redis")

    def _suspect(self) -> None:
        """Starts a check of Redis, because a question has had no answer for long: it may have waited for
        others, or for this replica."""
        if self.up and not self._busy("check"):
            self._tasks["check"] = asyncio.create_task(self._check(), name="cache-redis-pings")

    async def _check(self) -> None:
        # The first ping may have to connect, which takes several round trips.
        for patience in (None, *[SLOW_SECONDS] * SLOW_PINGS):
            if not (why := await self._ping(patience)):
                await asyncio.sleep(CHECK_SECONDS)
                return
        self._gone(SharedCacheUnavailable(why))

    async def _ping(self, patience: float | None = None) -> str | None:
        """Why Redis is currently unusable; empty if it is usable, None if this replica was too busy to tell.
        Waits for a late answer for `patience` seconds more (None: to its end)."""
        loop = asyncio.get_running_loop()
        due = loop.time() + SLOW_SECONDS
        asked = self._begun(self._shared.ping())
        await asyncio.wait({asked}, timeout=SLOW_SECONDS)
        late, turns = loop.time() - due, 0
        while not asked.done() and turns < TURNS:
            turns += 1
            await asyncio.sleep(0)
        slow = f"no answer within {SLOW_SECONDS:g} s" if not asked.done() else ""
        await asyncio.wait({asked}, timeout=patience)
        await cancelled([asked])
        failed = None if asked.cancelled() else asked.exception()
        if isinstance(failed, SharedCacheUnavailable):
            return None if late > LATE_SECONDS else str(failed)
        return slow

    async def _recover(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            if await self._ping() != "":
                continue
            log.info("cache.redis_back")
            self._listen_anew()
            return

    def _listen_anew(self) -> None:
        """Subscribes again at once: memory may hold what has changed meanwhile, and be asked long before
        Redis is. The old subscription may be at a master that hangs and has since been replaced."""
        if self._busy("listen"):
            self._begun(cancelled([self._tasks["listen"]]))
            del self._tasks["listen"]
        self._begin_to_listen()

    def _begin_to_listen(self) -> None:
        if not self._busy("listen"):
            self._tasks["listen"] = asyncio.create_task(self._listen(), name="cache-changes")

    async def _listen(self) -> None:
        """Receives changes until Redis is away; the next question subscribes again."""
        try:
            async with aclosing(self._shared.changes()) as changes:
                async for change in changes:
                    self.changes += 1
                    self._changed(change)
        except SharedCacheUnavailable as gone:
            # A subscription that was replaced by another says nothing about Redis.
            if self._tasks.get("listen") is asyncio.current_task():
                self._gone(gone)
        except SharedCacheRefused as refused:
            # No changes are received, so memory keeps its copies of shared entries only for a moment.
            self._failed("cache.redis_refused", str(refused))
            await asyncio.sleep(CHECK_SECONDS)
            self.changes += 1
            self._changed(Change())

    def _leave(self, flight: Flight, asked: Collection[asyncio.Future[Any]]) -> None:
        if self._closed or len(self._left) >= MOST_LEFT:
            return
        until = asyncio.get_running_loop().time() + LEFT_SECONDS
        self._left[flight.key, flight.token] = _Left(tuple(asked), until)
        if not self._busy("give back"):
            self._tasks["give back"] = asyncio.create_task(self._give_back(), name="cache-leases-left")

    async def _give_back(self) -> None:
        loop = asyncio.get_running_loop()
        while self._left:
            # A question whose caller was cancelled may still take the lease afterwards.
            if under_way := [
                asked for left in self._left.values() for asked in left.asked if not asked.done()
            ]:
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            refused = False
            for lease, left in tuple(self._left.items()):
                if not all(asked.done() for asked in left.asked):
                    continue
                if await self.ask(partial(_released, lease=lease)) or loop.time() > left.until:
                    del self._left[lease]
                    continue
                refused = True
                if not self.up:
                    break
            if refused:
                await asyncio.sleep(CHECK_SECONDS)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._lease_seconds * RENEWALS)
            leases = self._flights.leased()
            if not leases:
                return
            await self.ask(partial(_renewed, leases=leases, seconds=self._lease_seconds))


async def _released(shared: SharedCache, lease: tuple[str, str]) -> bool:
    await shared.release(*lease)
    return True


async def _renewed(shared: SharedCache, leases: Sequence[tuple[str, str]], seconds: float) -> None:
    await shared.renew(leases, seconds)
