"""The slots of a replica: which are free, and which are reserved for a run that is about to start. Also
tracks which runs are known here, so that a run that the storage gave to this replica in an answer that was
lost is found.

To start a run here, a caller first gets a permit, and uses it when the run starts or gives it back. Reserved
permits plus executing runs, less the lent slots, do not exceed the number of slots.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Literal

from lgs_runtime.worker.lending import Lending


class SlotPermit:
    """A slot that is reserved for one run."""

    def __init__(self, pool: SlotPool, run_id: str) -> None:
        self._pool = pool
        self.run_id = run_id
        self.state: Literal["kept", "used", "given_back"] = "kept"

    def use(self) -> None:
        """Notes that the run starts here; from now on the run itself occupies the slot."""
        if self.state == "kept":
            self.state = "used"
            self._pool.settle(self)

    def give_back(self, *, doubtful: bool = False) -> None:
        """Notes that the run does not start here. `doubtful`: the storage may still give it to this
        replica."""
        if self.state == "kept":
            self.state = "given_back"
            self._pool.settle(self)
            self._pool.doubtful = self._pool.doubtful or doubtful
            self._pool.on_free()


class SlotPool:
    """The slots of one replica. All calls are made on the replica's event loop."""

    def __init__(self, size: int, running: Collection[str], on_free: Callable[[], None]) -> None:
        """`running`: a live view of the ids of the runs that execute here. `on_free` is called when a
        reserved slot has become free, or a slot was lent."""
        self._size = size
        self._running = running
        self._kept: set[SlotPermit] = set()
        self._seen: set[str] | None = None
        self.on_free = on_free
        self.lending = Lending(on_free)
        self.open = False
        """Whether runs may start here; false while the replica starts or drains."""
        self.doubtful = False
        """Whether the storage may have runs of this replica that are not known here."""

    @property
    def used(self) -> int:
        """Number of slots in which a run executes, without those that are lent."""
        return len(self._running) - self.lending.slots

    @property
    def free(self) -> int:
        """How many more runs may start here now."""
        return max(0, self._size - self.used - len(self._kept)) if self.open else 0

    def permit(self, run_id: str) -> SlotPermit | None:
        """Reserves a slot for a run that is about to be stored as this replica's; None if none is free."""
        return self.claimed(run_id) if self.free else None

    def claimed(self, run_id: str) -> SlotPermit:
        """A permit for a run that belongs to this replica already, even if no slot is free."""
        permit = SlotPermit(self, run_id)
        self._kept.add(permit)
        return permit

    def settle(self, permit: SlotPermit) -> None:
        """Notes that a permit was used or given back."""
        self._kept.discard(permit)
        if permit.state == "used" and self._seen is not None:
            self._seen.add(permit.run_id)

    def begin_count(self) -> None:
        """Begins to remember every run that is here or arrives, until `end_count`."""
        self._seen = {*self._running, *(permit.run_id for permit in self._kept)}

    def end_count(self) -> Collection[str]:
        """The ids of the runs that were here or about to start at `begin_count`, or have started since."""
        seen, self._seen = self._seen or set(), None
        return seen
