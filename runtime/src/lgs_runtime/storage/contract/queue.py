"""The queue: runs, from their acknowledgement to their end.

The life of a run: `enqueue` stores it durably (and only then is it acknowledged); `claim`, or `enqueue`
itself when the replica has a free slot, gives it to one replica, which renews its lease (`Lease.renew`);
`finish` or `release` ends the attempt. `reap` gives the runs of replicas whose lease has run out to others.
An attempt is named by (run_id, replica, attempt): a call that comes too late raises `LeaseLost`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from lgs_runtime.model import (
    CancelAction,
    Enqueued,
    Finished,
    NewRun,
    Outcome,
    QueueDepth,
    QueueLimits,
    Run,
    Scope,
)


class Queue(Protocol):
    """Runs that wait, run and end."""

    async def enqueue(self, new: NewRun, limits: QueueLimits, claim_for: str | None = None) -> Enqueued:
        """Stores a run durably, applying its multitask strategy, or stores nothing.

        `claim_for` names the asking replica when it has a free slot: the run is inserted as claimed by it if
        it is due, its thread is free, the replica has its graph, and no run that the replica could claim has
        a smaller rank. Otherwise the run waits, if its queue has room.

        Strategies on a thread with unfinished runs: `reject` raises `Conflict`; `enqueue` waits its turn;
        `interrupt` cancels the unfinished runs with action interrupt, `rollback` with action rollback, and
        both wait for their end.

        With `limits.user`, a run that would exceed its user's (`actor.who`) limit of unfinished runs is
        refused. This is exact, whichever replicas store runs of the user at the same time.

        Raises `NotFound` (thread, unless `create_thread`; assistant), `AssistantChanged`, `Conflict`, and
        `QueueFull` or its subclass `UserLimit`. Storing the same run_id again returns the stored run,
        unchanged.
        """

    async def enqueue_all(self, new: Sequence[NewRun], limits: QueueLimits) -> Sequence[Run]:
        """Stores runs in this order, all of them or none, each like `enqueue` without `claim_for`. Raises
        what the first refused run raises."""

    async def claim(self, replica: str, slots: int, graphs: Sequence[str] | None = None) -> Sequence[Run]:
        """Claims up to `slots` runs of `graphs` (default: those that `replica` takes), the first in line, in
        that order: they are now `running` and the replica's, with an attempt charged. Most urgent first, with
        aging, and fair between the groups of a level: `fairness` has the law. A run's rank is its due time
        plus 0 s (high), 30 s (normal) or 120 s (low), finer by its level. A thread has one running run, and
        its runs go in the order in which they were stored. Two replicas never get the same run. A replica
        without a live lease gets none."""

    async def take_only(self, replica: str, graphs: Sequence[str]) -> None:
        """Declares the graphs that `replica` takes runs of, from now until its lease is taken anew. Runs of a
        graph that no replica takes wait, and count as `unserved`."""

    async def leave(self, replica: str) -> None:
        """Declares that `replica` claims no runs until it joins or its lease is taken anew. The runs that a
        canary and the other replicas leave to each other are not left to a replica that is ending or still
        starting."""

    async def join(self, replica: str) -> None:
        """Declares that `replica` claims runs from now on."""

    async def held(self, replica: str) -> Sequence[Run]:
        """The runs that the storage has as running and claimed by `replica`. A claim whose answer was lost on
        its way is found here."""

    async def finish(self, run: Run, replica: str, outcome: Outcome) -> Finished:
        """Ends an attempt and its run; sets the thread's status, values and interrupts (`busy` stays while
        other runs wait on it). An `answer` is kept as the run's `result`, and sent to its webhook.

        With `delete_thread_after`, the thread's record is deleted and the run keeps the answer, or else the
        values, as its `result` (the caller deletes the checkpoints). Otherwise the state it ended with
        becomes a version of the thread (`histories.checkpoint_of`). `run_metadata` is merged into the run's.

        A run that was cancelled with `rollback` is deleted. Raises `RollbackAsked` when the outcome of such a
        run is not `undone`, and `LeaseLost` when the replica no longer holds the attempt: nothing is changed
        then.
        """

    async def release(self, replica: str, runs: Sequence[Run]) -> None:
        """Hands runs back unfinished: they wait again, first in line, and no attempt is charged."""

    async def reap(self, max_attempts: int, replica: str | None = None) -> Sequence[Run]:
        """Takes runs from replicas whose lease ran out, except from `replica`, the asking one, which is
        alive. Runs with attempts left wait again, the others end in `error` with the reason; a run that was
        asked to stop ends, or waits to be rolled back, instead. Returns the runs as they are afterwards. Safe
        to call from every replica."""

    async def end_unserved(self, reasons: Mapping[str, str], waited_seconds: float) -> Sequence[Run]:
        """Ends waiting runs of these graphs that have been due for `waited_seconds`, if no replica takes runs
        of their graph now: in `error`, with the reason given for their graph. At most a hundred; returns them
        as they are afterwards. Safe to call from every replica."""

    async def cancel(
        self,
        thread_id: str | None,
        run_ids: Sequence[str],
        action: CancelAction,
        scope: Scope | None = None,
    ) -> Sequence[Run]:
        """Asks runs to stop. A waiting run ends at once (`interrupted`, or deleted with rollback); a running
        run gets `cancel_requested` and a `cancel` signal, and ends when its worker has stopped. With
        rollback, a run that waits after an attempt is not deleted at once: it goes first in line, to a
        replica that deletes its checkpoints. A rollback once asked for stays, whatever is asked for later.
        Finished runs are left alone. Returns the runs as they are afterwards (a deleted one as it was).
        Raises `NotFound`."""

    async def takes(self, graph_id: str) -> bool:
        """Whether a replica with a live lease declares that it takes runs of this graph."""

    async def depth(self) -> QueueDepth:
        """The queue of the whole service at this moment. Cheap: it reads waiting runs only."""
