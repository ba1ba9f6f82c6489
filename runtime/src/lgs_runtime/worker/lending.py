"""Lends the slots and threads of runs that wait for other runs.

A run that starts another run on this server and waits for its end would keep its slot meanwhile. If all slots
were kept like that, none would be left for the runs that are waited for (a deadlock). So a run lends its slot
while it waits, and another run may start. It continues when its wait is over, so that for a moment there may
be one run too many. A node that waits in a thread keeps that too, so there is one more thread meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass


class Lending:
    """The slots that runs of a replica have lent. All calls are made on the replica's event loop."""

    def __init__(self, on_free: Callable[[], None]) -> None:
        """`on_free` is called when a slot is lent to any run."""
        self._on_free = on_free
        self._waits: Counter[Slot] = Counter()
        self._held: set[Slot] = set()
        self.threads: Threads | None = None

    @property
    def slots(self) -> int:
        """The number of lent slots. A run lends one, however many runs it waits for; a run that has ended
        lends none, even if something that it started still waits."""
        return len(self._waits.keys() & self._held) if self._waits else 0

    @contextmanager
    def held(self, thread_id: str) -> Iterator[None]:
        """Gives an attempt of a run on this thread a slot while the context is open; it is the `own_slot` of
        the code that is started inside."""
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
        """See `Slot.lent`."""
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
    """The slot of one attempt."""

    thread_id: str
    lending: Lending

    def lent(self, *, any_may: bool, in_thread: bool) -> AbstractContextManager[None]:
        """Lends the slot while the context is open: to any run (`any_may`), or to the run that is being
        created. `in_thread`: the waiter occupies a thread meanwhile."""
        return self.lending.waiting(self, any_may=any_may, in_thread=in_thread)


own_slot: ContextVar[Slot | None] = ContextVar("own_slot", default=None)
"""The slot of the attempt that the current code belongs to."""


class Threads(ThreadPoolExecutor):
    """Threads for nodes that are plain functions, plus one for each that waits for a run."""

    def more(self, number: int) -> None:
        """Changes the number of threads that may work at a time by `number`."""
        self._max_workers += number
        if number > 0:
            # The pool starts threads only on a submission, and work may be waiting already.
            with suppress(RuntimeError):
                self.submit(int)
