"""Limits the number of calls at a time. A call that finds no free place waits for a bounded time, in order of
arrival, or not at all. Threads and event loops may wait for the same places. A closed event loop goes on with
none of its calls: it loses their places, and gets no others."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass

from lgs_runtime.breaker.policy import LONGEST_SECONDS, MOST_CALLS, InvalidPolicy, check_count, check_number
from lgs_runtime.breaker.refusals import BulkheadFull
from lgs_runtime.forking import copied


@dataclass(eq=False, slots=True)
class Place:
    """A place that a call has taken, or waits for."""

    loop: asyncio.AbstractEventLoop | None
    """The event loop in which the call is made, if it is made in one."""
    come: Future[None]
    """Done when the call gets the place."""

    @property
    def abandoned(self) -> bool:
        """Whether nobody will give it up any more: its event loop is closed."""
        return self.loop is not None and self.loop.is_closed()


class Bulkhead:
    """Limits calls to `limit` at a time. Each place that `enter` returns must be given up by `leave`. Raises
    `InvalidPolicy`."""

    def __init__(self, limit: int, max_wait_seconds: float = 0.0) -> None:
        check_count("max_concurrent", limit, most=MOST_CALLS)
        if max_wait_seconds != 0 or isinstance(max_wait_seconds, bool):
            check_number(
                "max_wait_seconds", max_wait_seconds, most=LONGEST_SECONDS, hint=", or 0: nobody waits"
            )
        self.limit = limit
        self.max_wait_seconds = max_wait_seconds
        self._taken: set[Place] = set()
        self._loops: set[asyncio.AbstractEventLoop] = set()
        """The event loops in which places may be taken."""
        # In order of arrival; a call that gives up is found at once, however many wait.
        self._waiting: OrderedDict[Place, None] = OrderedDict()
        # Reentrant: the garbage collector may end an abandoned call at any line of this very thread.
        self._lock = threading.RLock()
        self._handing_on = False
        copied(self)

    def begin_in_child(self) -> None:
        """Called in a forked process, which makes none of the calls that were under way."""
        self._lock = threading.RLock()
        self._handing_on = False
        self._taken.clear()
        self._waiting.clear()

    @property
    def used(self) -> int:
        """How many places are taken."""
        return len(self._taken)

    def enter(self, circuit: str) -> Place:
        """Takes a place; blocks the thread while it waits for one. Raises `BulkheadFull`."""
        place = self._asked(circuit)
        if place not in self._taken:
            try:
                place.come.result(self.max_wait_seconds)
            except NotInTime:
                self._late(place, circuit)
            except BaseException:
                self.leave(place)
                raise
        return place

    async def enter_async(self, circuit: str) -> Place:
        """Takes a place; does not block the event loop while it waits for one. Raises `BulkheadFull`."""
        place = self._asked(circuit)
        if place not in self._taken:
            try:
                await asyncio.wait({asyncio.wrap_future(place.come)}, timeout=self.max_wait_seconds)
            except BaseException:
                self.leave(place)
                raise
            if not place.come.done():
                self._late(place, circuit)
        return place

    def leave(self, place: Place) -> None:
        """Gives up a place, or the wait for it. A free place goes to the call that has waited longest."""
        with self._lock:
            self._taken.discard(place)
            self._waiting.pop(place, None)
            self._hand_on()

    def _asked(self, circuit: str) -> Place:
        """A place for a new call, taken or waited for. Raises `BulkheadFull` if there is none and calls do
        not wait."""
        place = Place(_running_loop(), Future())
        with self._lock:
            if place.loop not in self._loops or len(self._taken) >= self.limit:
                self._take_from_closed_loops()
            if place.loop is not None:
                self._loops.add(place.loop)
            if len(self._taken) >= self.limit and self.max_wait_seconds == 0:
                raise BulkheadFull(circuit, self.limit, 0.0)
            self._waiting[place] = None
            self._hand_on()
            return place

    def _hand_on(self) -> None:
        """Gives free places to the calls that wait."""
        # A call that the garbage collector ends inside this loop leaves the rest to the loop.
        while not self._handing_on and self._waiting and len(self._taken) < self.limit:
            self._handing_on = True
            try:
                place = next(iter(self._waiting), None)
                if place is not None and len(self._taken) < self.limit:
                    self._waiting.pop(place, None)
                    self._give(place)
            finally:
                self._handing_on = False

    def _give(self, place: Place) -> None:
        if not place.abandoned:
            self._taken.add(place)
            place.come.set_result(None)

    def _take_from_closed_loops(self) -> None:
        if any(loop.is_closed() for loop in self._loops):
            self._taken -= {place for place in tuple(self._taken) if place.abandoned}
            self._loops -= {loop for loop in tuple(self._loops) if loop.is_closed()}
            self._hand_on()

    def _late(self, place: Place, circuit: str) -> None:
        """Ends a wait that took too long, unless the place has come at the same moment. Raises
        `BulkheadFull`."""
        with self._lock:
            self._take_from_closed_loops()
            if self._waiting.pop(place, place) is None:
                raise BulkheadFull(circuit, self.limit, self.max_wait_seconds)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def bulkhead(max_concurrent: int | None, max_wait_seconds: float) -> Bulkhead | None:
    """The bulkhead of a breaker; None if it has none. Raises `InvalidPolicy`."""
    if max_concurrent is not None:
        return Bulkhead(max_concurrent, max_wait_seconds)
    if max_wait_seconds != 0:
        raise InvalidPolicy("max_wait_seconds", max_wait_seconds, "needs max_concurrent")
    return None
