"""Slots, and threads, of runs that wait for other runs.

A run that asks this server for another run and waits for its end would keep its slot meanwhile; when all of
them are kept so, none is left for those that are waited for. So a run lends its slot as long as it waits:
another may start beside it. It goes on when its wait is over, which may be one run too many for a moment.
A node that waits in a thread keeps that too, and there is one more as long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass


class Lending:
    """What the runs of a replica have lent. All calls are made on the replica's event loop."""

    def __init__(self, on_free: Callable[[], None]) -> None:
        """`on_free` is called when any run may have a slot that was lent."""
        self._on_free = on_free
        self._waits: Counter[Slot] = Counter()
        self._held: set[Slot] = set()
        self.threads: Threads | None = None

    @property
    def slots(self) -> int:
        """How many are lent. A run has one, however many runs it waits for; one that has ended has none, even
        if something that it began still waits."""
        return len(self._waits.keys() & self._held) if self._waits else 0

    @contextmanager
    def held(self, thread_id: str) -> Iterator[None]:
        """An attempt at a run of this thread has a slot as long as the context is open: `own_slot` of what
        is started in it."""
        slot = Slot(thread_id, self)
        self._held.add(slot)
        before = own_slot.set(slot)
        try:
            yield
        finally:
            own_slot.reset(before)
            self._held.discard(slot)

    @contextmanager
    def waiting(self, slot: Slot, *, any_may: bool, in_thread: bool) -> Iterator[None]:
        """As `Slot.lent`."""
        self._waits[slot] += 1
        threads = self.threads if in_thread else None
        if threads is not None:
            threads.more(1)
        if any_may:
            self._on_free()
        try:
            yield
        finally:
            self._waits[slot] -= 1
            self._waits += Counter()
            if threads is not None:
                threads.more(-1)


@dataclass(frozen=True, eq=False)
class Slot:
    """That of one attempt."""

    thread_id: str
    lending: Lending

    def lent(self, *, any_may: bool, in_thread: bool) -> AbstractContextManager[None]:
        """It is another's as long as the context is open: any run's (`any_may`), or that of a run that is
        being made. `in_thread`: who waits keeps a thread meanwhile."""
        return self.lending.waiting(self, any_may=any_may, in_thread=in_thread)


own_slot: ContextVar[Slot | None] = ContextVar("own_slot", default=None)
"""The slot of the attempt whose code this is."""


class Threads(ThreadPoolExecutor):
    """Threads for nodes that are plain functions, with one more for each that waits for a run."""

    def more(self, number: int) -> None:
        """So many more may work at a time."""
        self._max_workers += number
        if number > 0:
            # Threads are started by what is submitted: something may wait already.
            with suppress(RuntimeError):
                self.submit(int)
