"""Group commit, for whatever there is to commit: many callers, few round trips.

Work that arrives while others are under way gathers, and the next free turn takes all of it at once; with
nothing under way it goes out at once, alone. Work of one lane (a thread) goes in the order of its submission:
never two turns at a time, and within a turn in order. Work that fails fails alone: its group is cut in halves
until it stands by itself, and what was to go `after` it falls with it. While the database can't be reached a
group is tried again, for a bounded time.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from lgs_runtime.errors import StorageUnavailable

MOST_ITEMS: Final = 256
MOST_BYTES: Final = 4 * 1024 * 1024
_FIRST_PAUSE_SECONDS: Final = 0.02
_LONGEST_PAUSE_SECONDS: Final = 0.5

Work = TypeVar("Work")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class _Place(Generic[Work, Result]):
    """A place in a lane. `work` is None until it is prepared; an `alone` place is the whole lane's turn."""

    done: asyncio.Future[Any]
    work: Work | None = None
    size: int = 0
    alone: bool = False
    after: asyncio.Future[Any] | None = None
    """Work of the same lane, without which this one must not be done."""


@dataclass(slots=True, eq=False)
class _Lane(Generic[Work, Result]):
    name: str
    places: deque[_Place[Work, Result]] = field(default_factory=deque)
    taken: bool = False
    last: asyncio.Future[Any] | None = None


class Gatherer(Generic[Work, Result]):
    """Runs what is submitted in groups: `run` gets the works of a group and returns a result for each, or
    raises and has done nothing. At most `at_once` groups are under way."""

    def __init__(
        self,
        run: Callable[[Sequence[Work]], Awaitable[Sequence[Result]]],
        *,
        at_once: int,
        patience_seconds: float,
        most_items: int = MOST_ITEMS,
    ) -> None:
        """`patience_seconds`: for so long a group is tried again while the database can't be reached; it is
        tried twice at least."""
        self._run = run
        self._at_once = at_once
        self._patience_seconds = patience_seconds
        self._most_items = most_items
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[str, _Lane[Work, Result]] = {}
        self._ready: deque[_Lane[Work, Result]] = deque()
        self._turns: set[asyncio.Task[None]] = set()
        self._preparing: set[asyncio.Task[None]] = set()
        self._looking = False
        self._closing = asyncio.Event()

    def submit(
        self, lane: str, work: Work, size: int = 0, after: asyncio.Future[Any] | None = None
    ) -> asyncio.Future[Result]:
        """Puts work at the end of a lane. The future gets its result, or raises what it failed with:
        `StorageUnavailable` when the database could not be reached. Where `after`, submitted to the lane
        before, has failed, this fails as it did and is not done."""
        return self._append(lane, _Place(self._loop.create_future(), work, size, after=after)).done

    def submit_later(
        self,
        lane: str,
        prepare: Callable[[], Coroutine[Any, Any, tuple[Work, int]]],
        after: asyncio.Future[Any] | None = None,
    ) -> asyncio.Future[Result]:
        """As `submit`, for work (and its size) that takes time to prepare: its place is taken now."""
        place: _Place[Work, Result] = self._append(lane, _Place(self._loop.create_future(), after=after))
        task = self._loop.create_task(self._prepare(lane, place, prepare()))
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)
        return place.done

    async def settled(self, lane: str) -> None:
        """Returns when what was submitted to the lane so far has ended, well or not."""
        found = self._lanes.get(lane)
        if found is not None and found.last is not None:
            await asyncio.wait((found.last,))

    @asynccontextmanager
    async def alone(self, lane: str) -> AsyncIterator[None]:
        """Takes the lane's turn after all that was submitted before, and keeps it while the context is
        open."""
        place: _Place[Work, Result] = _Place(self._loop.create_future(), alone=True)
        self._append(lane, place)
        mine = self._lanes[lane]
        ended = mine.last = self._loop.create_future()
        try:
            await place.done
            yield
        finally:
            ended.set_result(None)
            if place.done.done() and not place.done.cancelled() and place.done.exception() is None:
                self._release(mine)

    async def close(self) -> None:
        """Ends what is under way, without patience, and refuses what comes."""
        self._closing.set()
        while self._turns or self._preparing:
            await asyncio.wait((*self._turns, *self._preparing))

    def _append(self, name: str, place: _Place[Work, Result]) -> _Place[Work, Result]:
        if self._closing.is_set():
            raise StorageUnavailable("what writes to the database is closed")
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = _Lane(name)
        lane.places.append(place)
        lane.last = place.done
        if len(lane.places) == 1 and not lane.taken:
            self._offer(lane)
        return place

    async def _prepare(
        self,
        lane: str,
        place: _Place[Work, Result],
        preparation: Coroutine[Any, Any, tuple[Work, int]],
    ) -> None:
        try:
            place.work, place.size = await preparation
        except Exception as failed:  # noqa: BLE001 - it is the caller's, and reaches the caller
            _fail(place, failed)
        found = self._lanes.get(lane)
        if found is not None and not found.taken and found.places and found.places[0] is place:
            self._offer(found)

    def _offer(self, lane: _Lane[Work, Result]) -> None:
        """Looks at the head of a lane that is not taken: it can go, must wait, or has the turn alone."""
        while lane.places and lane.places[0].done.done():
            # Its caller gave up, or it could not be prepared.
            lane.places.popleft()
        if not lane.places:
            del self._lanes[lane.name]
            return
        head = lane.places[0]
        if head.alone:
            lane.places.popleft()
            lane.taken = True
            head.done.set_result(None)
        elif head.work is not None:
            lane.taken = True
            self._ready.append(lane)
            if not self._looking:
                # After all that is ready to run now: what it submits comes along.
                self._looking = True
                self._loop.call_soon(self._look)

    def _look(self) -> None:
        self._looking = False
        while self._ready and len(self._turns) < self._at_once:
            turn = self._loop.create_task(self._turn(*self._take()))
            self._turns.add(turn)
            turn.add_done_callback(self._ended)

    def _ended(self, turn: asyncio.Task[None]) -> None:
        self._turns.discard(turn)
        self._look()

    async def _turn(
        self, places: Sequence[_Place[Work, Result]], lanes: Sequence[_Lane[Work, Result]]
    ) -> None:
        try:
            await self._deliver(places)
        finally:
            for place in places:
                if not place.done.done():
                    place.done.set_exception(StorageUnavailable("what writes to the database was stopped"))
            for lane in lanes:
                self._release(lane)

    def _take(self) -> tuple[list[_Place[Work, Result]], list[_Lane[Work, Result]]]:
        places: list[_Place[Work, Result]] = []
        lanes: list[_Lane[Work, Result]] = []
        size = 0
        while self._ready and len(places) < self._most_items and size < MOST_BYTES:
            lane = self._ready.popleft()
            lanes.append(lane)
            waiting = lane.places
            while waiting and waiting[0].work is not None and (not places or size < MOST_BYTES):
                place = waiting.popleft()
                if _may_go(place):
                    places.append(place)
                    size += place.size
        return places, lanes

    def _release(self, lane: _Lane[Work, Result]) -> None:
        lane.taken = False
        self._offer(lane)

    async def _deliver(self, places: Sequence[_Place[Work, Result]]) -> None:
        works = [place.work for place in places if place.work is not None]
        try:
            results = await self._patiently(works)
        except StorageUnavailable as unreachable:
            for place in places:
                _fail(place, StorageUnavailable(str(unreachable)))
        except Exception as failed:  # noqa: BLE001 - it reaches the caller whose work failed
            if len(places) == 1:
                _fail(places[0], failed)
                return
            middle = len(places) // 2
            await self._deliver(places[:middle])
            if rest := [place for place in places[middle:] if _may_go(place)]:
                await self._deliver(rest)
        else:
            for place, result in zip(places, results, strict=True):
                if not place.done.done():
                    place.done.set_result(result)

    async def _patiently(self, works: Sequence[Work]) -> Sequence[Result]:
        if not works:
            return ()
        give_up_at = self._loop.time() + self._patience_seconds
        pause = 0.0
        while True:
            try:
                return await self._run(works)
            except StorageUnavailable:
                if pause and (self._loop.time() >= give_up_at or self._closing.is_set()):
                    raise
            await self._pause(pause * random.uniform(0.5, 1.0))
            pause = min(max(2 * pause, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)

    async def _pause(self, seconds: float) -> None:
        """Waits, unless it is closed meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return


def _may_go(place: _Place[Any, Any]) -> bool:
    """Whether a place is still to be delivered: nobody gave it up, and what it goes after has not failed."""
    before = place.after
    if not place.done.done() and before is not None and before.done():
        if before.cancelled():
            _fail(place, StorageUnavailable("what comes before it was not stored"))
        elif (failed := before.exception()) is not None:
            _fail(place, failed)
    return not place.done.done()


def _fail(place: _Place[Any, Any], reason: BaseException) -> None:
    if not place.done.done():
        place.done.set_exception(reason)
