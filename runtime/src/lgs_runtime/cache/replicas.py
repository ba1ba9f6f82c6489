"""What the replicas of a service have in common of their caches: the entries and leases in Redis, and the
word of what has changed. Belongs to one event loop.

No call waits for a Redis that is away, or so slow that asking it costs what it was to save: one task checks
whether it is back. A Redis that refuses a command is not away: that command has no answer. What memory has
of shared entries is forgotten whenever a change may have been missed.
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
"""A Redis that takes so long for nothing is as good as away."""
LATE_SECONDS: Final = 0.5
"""An event loop that is late by so much may have given up what was answered in time."""
TURNS: Final = 10
"""In so many turns of the event loop what has come is read, whatever else the replica does."""
SLOW_PINGS: Final = 3
"""So many, one after the other, make a slow Redis."""
MOST_ASKED: Final = 64
"""Questions on their way at a time. How long one waits for its turn says nothing of Redis: a burst of
thousands takes longer than any one is waited for."""
MOST_LEFT: Final = 1000
LEFT_SECONDS: Final = 60.0
"""For so long it is tried to give back a lease that may have been left in Redis."""
RENEWALS: Final = 0.3
"""A lease is renewed each time this share of it has passed."""
T = TypeVar("T")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Left:
    """A lease that may be in Redis: what asked for it, and until when it is tried to give it back."""

    asked: tuple[asyncio.Future[Any], ...]
    until: float


class Replicas:
    """The shared entries, while they answer."""

    def __init__(
        self,
        shared: SharedCache,
        flights: Flights,
        *,
        lease_seconds: float,
        changed: Callable[[Change], None],
        failed: Callable[[str, str], None],
    ) -> None:
        """`changed` gets the changes that other replicas announce, `failed` counts events and their
        reasons."""
        self._shared = shared
        self._flights = flights
        self._lease_seconds = lease_seconds
        self._changed = changed
        self._failed = failed
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._asked: set[asyncio.Future[Any]] = set()
        self._turns = asyncio.Semaphore(MOST_ASKED)
        self._left: dict[tuple[str, str], _Left] = {}
        """Leases that may be in Redis though nobody computes under them."""
        self._closed = False
        self.changes = 0
        """The number of those received so far."""
        self._changed_times = 0

    @property
    def up(self) -> bool:
        """Whether they answered last time."""
        return not self._busy("recovery")

    @property
    def state(self) -> int:
        """Another number after each change, whoever made it: what was requested before it may be old."""
        return self.changes + self._changed_times

    def changed_here(self) -> None:
        """This replica has changed something, which nobody announces to it."""
        self._changed_times += 1

    async def ask(
        self,
        question: Callable[[SharedCache], Awaitable[T]],
        begun: Callable[[asyncio.Future[T | None]], Any] = lambda asked: None,
    ) -> T | None:
        """What they answer; None when they can't be reached, or refuse. Who is cancelled leaves the question
        behind, which has been `begun`."""
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
        """As `ask`, for what takes the lease of a flight, or ends it: where the answer is lost the lease may
        be there, and is given back once Redis takes that, since the other replicas wait for its end."""
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
        """The lease of a flight is this replica's: it is renewed until the flight ends."""
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
            # Who has waited for a turn does not wait for a Redis that is gone since.
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
            # Who asked may be gone by now, and nobody else wants to know why it failed.
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
        """A question has had no answer for long: it may have waited for others, or for this replica."""
        if self.up and not self._busy("check"):
            self._tasks["check"] = asyncio.create_task(self._check(), name="cache-redis-pings")

    async def _check(self) -> None:
        # The first one may have to connect, which takes several ways there and back.
        for patience in (None, *[SLOW_SECONDS] * SLOW_PINGS):
            if not (why := await self._ping(patience)):
                await asyncio.sleep(CHECK_SECONDS)
                return
        self._gone(SharedCacheUnavailable(why))

    async def _ping(self, patience: float | None = None) -> str | None:
        """Why Redis is of no use just now; empty: it is. None: this replica was too busy to see. A late
        answer is waited for, for `patience` seconds more or to its end."""
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
        """Memory may hold what has changed meanwhile, and be asked long before Redis is. What is still
        listened to may be a master that stands still, whose place another has taken since."""
        if self._busy("listen"):
            self._begun(cancelled([self._tasks["listen"]]))
            del self._tasks["listen"]
        self._begin_to_listen()

    def _begin_to_listen(self) -> None:
        if not self._busy("listen"):
            self._tasks["listen"] = asyncio.create_task(self._listen(), name="cache-changes")

    async def _listen(self) -> None:
        """Receives changes until Redis is away; the next request subscribes anew."""
        try:
            async with aclosing(self._shared.changes()) as changes:
                async for change in changes:
                    self.changes += 1
                    self._changed(change)
        except SharedCacheUnavailable as gone:
            # One that was given up for another says nothing.
            if self._tasks.get("listen") is asyncio.current_task():
                self._gone(gone)
        except SharedCacheRefused as refused:
            # Changes are not received, so memory keeps nothing of Redis for longer than a moment.
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
            # What still asks for a lease, though its caller was cancelled, may take it after that.
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
