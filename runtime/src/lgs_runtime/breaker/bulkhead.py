"""At most so many calls at a time. Who finds no place waits for a bounded time, in the order of arrival, or
not at all. Threads and event loops may wait for the same places.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime

from lgs_runtime.breaker.policy import LONGEST_SECONDS, MOST_CALLS, InvalidPolicy, check_count, check_number
from lgs_runtime.breaker.refusals import BulkheadFull


class Bulkhead:
    """Each `enter` that does not raise must be followed by a `leave`. Raises `InvalidPolicy`."""

    def __init__(self, limit: int, max_wait_seconds: float = 0.0) -> None:
        check_count("max_concurrent", limit, most=MOST_CALLS)
        if max_wait_seconds != 0 or isinstance(max_wait_seconds, bool):
            check_number(
                "max_wait_seconds", max_wait_seconds, most=LONGEST_SECONDS, hint=", or 0: nobody waits"
            )
        self.limit = limit
        self.max_wait_seconds = max_wait_seconds
        self.used = 0
        # In their order; one that gives up is found at once, however many wait.
        self._waiting: OrderedDict[Future[None], None] = OrderedDict()
        # The garbage collector may end a call that was left behind in the midst of this thread's next line.
        self._lock = threading.RLock()

    def enter(self, circuit: str) -> None:
        """Takes a place, and blocks the thread while it waits for one. Raises `BulkheadFull`."""
        if (place := self._place(circuit)) is None:
            return
        try:
            place.result(self.max_wait_seconds)
        except NotInTime:
            self._late(place, circuit)
        except BaseException:
            self._gone(place)
            raise

    async def enter_async(self, circuit: str) -> None:
        """Takes a place, and lets the event loop go on while it waits for one. Raises `BulkheadFull`."""
        if (place := self._place(circuit)) is None:
            return
        try:
            await asyncio.wait({asyncio.wrap_future(place)}, timeout=self.max_wait_seconds)
        except BaseException:
            self._gone(place)
            raise
        if not place.done():
            self._late(place, circuit)

    def leave(self) -> None:
        """Gives a place up, to who has waited longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popitem(last=False)[0].set_result(None)
            else:
                self.used -= 1

    def _place(self, circuit: str) -> Future[None] | None:
        """None: it was taken. Else what is done when there is one."""
        place: Future[None] = Future()
        with self._lock:
            if self.used < self.limit:
                self.used += 1
                return None
            if self.max_wait_seconds == 0:
                raise BulkheadFull(circuit, self.limit, 0.0)
            self._waiting[place] = None
            return place

    def _late(self, place: Future[None], circuit: str) -> None:
        """The time is up; the place may have come at the same moment."""
        if self._withdrawn(place):
            raise BulkheadFull(circuit, self.limit, self.max_wait_seconds)

    def _gone(self, place: Future[None]) -> None:
        """Who waited was cancelled; a place that had come goes to the next."""
        if not self._withdrawn(place):
            self.leave()

    def _withdrawn(self, place: Future[None]) -> bool:
        with self._lock:
            return self._waiting.pop(place, place) is None


def bulkhead(max_concurrent: int | None, max_wait_seconds: float) -> Bulkhead | None:
    """That of a breaker. Raises `InvalidPolicy`."""
    if max_concurrent is not None:
        return Bulkhead(max_concurrent, max_wait_seconds)
    if max_wait_seconds != 0:
        raise InvalidPolicy("max_wait_seconds", max_wait_seconds, "needs max_concurrent")
    return None
