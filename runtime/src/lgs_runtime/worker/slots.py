"""The slots of a replica: which are free, and which are kept for a run that is about to start. Also what is
known of the runs that the storage holds to be this replica's, so that one whose answer was lost is found.

Who wants to start a run here gets a permit first, uses it when the run starts, or gives it back. Permits and
runs that execute, less the slots that were lent, add up to no more than there are slots.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Literal

from lgs_runtime.worker.lending import Lending


class SlotPermit:
    """A slot that is kept for one run."""

    def __init__(self, pool: SlotPool, run_id: str) -> None:
        self._pool = pool
        self.run_id = run_id
        self.state: Literal["kept", "used", "given_back"] = "kept"

    def use(self) -> None:
        """The run starts here: from now on it counts by itself."""
        if self.state == "kept":
            self.state = "used"
            self._pool.settle(self)

    def give_back(self, *, doubtful: bool = False) -> None:
        """The run does not start here. `doubtful`: it may be stored as this replica's all the same."""
        if self.state == "kept":
            self.state = "given_back"
            self._pool.settle(self)
            self._pool.doubtful = self._pool.doubtful or doubtful
            self._pool.on_free()


class SlotPool:
    """`running` are the ids of the runs that execute here. All calls are made on the replica's event loop."""

    def __init__(self, size: int, running: Collection[str], on_free: Callable[[], None]) -> None:
        """`on_free` is called when a slot has become free that was kept, or lent."""
        self._size = size
        self._running = running
        self._kept: set[SlotPermit] = set()
        self._seen: set[str] | None = None
        self.on_free = on_free
        self.lending = Lending(on_free)
        self.open = False
        """Whether runs may start here: not while the replica starts or drains."""
        self.doubtful = False
        """Whether the storage may hold runs to be this replica's of which nothing is known here."""

    @property
    def used(self) -> int:
        """Slots in which a run executes; one that is lent is not."""
        return len(self._running) - self.lending.slots

    @property
    def free(self) -> int:
        """How many more runs may start here now."""
        return max(0, self._size - self.used - len(self._kept)) if self.open else 0

    def permit(self, run_id: str) -> SlotPermit | None:
        """Keeps a free slot for a run that is about to be stored as this replica's; None: there is none."""
        return self.claimed(run_id) if self.free else None

    def claimed(self, run_id: str) -> SlotPermit:
        """The slot of a run that is this replica's already, whether or not there is one."""
        permit = SlotPermit(self, run_id)
        self._kept.add(permit)
        return permit

    def settle(self, permit: SlotPermit) -> None:
        """A permit was used, or given back."""
        self._kept.discard(permit)
        if permit.state == "used" and self._seen is not None:
            self._seen.add(permit.run_id)

    def begin_count(self) -> None:
        """From now on every run that comes is remembered, until `end_count`."""
        self._seen = {*self._running, *(permit.run_id for permit in self._kept)}

    def end_count(self) -> Collection[str]:
        """The ids of the runs that were here, were about to come, or came since `begin_count`."""
        seen, self._seen = self._seen or set(), None
        return seen
