"""What the queue promises, as a small pure model: a list of runs in memory, without clocks and without races.

Each method says what a storage must answer, and changes the model as the storage must have changed. The names
and rules are those of `lgs_runtime.storage.contract`; ranks are counted from each run's own due time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from lgs_runtime.model import CancelAction, MultitaskStrategy, Priority, Run, RunStatus, ThreadStatus

OFFSET_SECONDS = {Priority.HIGH: 0.0, Priority.NORMAL: 30.0, Priority.LOW: 120.0}
HANDED_BACK_SECONDS = 1e9
HANDED_BACK_PLACE = 0
UNFINISHED = ("pending", "running")
Refusal = Literal["busy", "full"]


@dataclass
class ModelRun:
    """A run as it must be. `place` is where it stands among the runs of its priority, by when it was stored,
    and `rank`, in seconds since the epoch, is what priorities compete by. `later`: it is due far in the
    future."""

    run_id: str
    thread_id: str
    seq: int
    place: int
    priority: Priority
    rank: float
    later: bool
    stateless: bool
    status: RunStatus = "pending"
    attempt: int = 0
    held_by: str | None = None
    cancel: CancelAction | None = None

    @property
    def unfinished(self) -> bool:
        """Whether it stands on its thread."""
        return self.status in UNFINISHED


@dataclass
class QueueModel:
    """All runs of a service. `rests` holds each thread's status for when nothing stands on it."""

    runs: dict[str, ModelRun] = field(default_factory=dict)
    rests: dict[str, ThreadStatus] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    gone_threads: set[str] = field(default_factory=set)
    alive: set[str] = field(default_factory=set)
    stored: int = 0

    def on(self, thread_id: str) -> list[ModelRun]:
        """The unfinished runs of a thread, in the order they were stored."""
        found = [run for run in self.runs.values() if run.thread_id == thread_id and run.unfinished]
        return sorted(found, key=lambda run: run.seq)

    def with_status(self, *statuses: RunStatus) -> list[ModelRun]:
        """The runs of these statuses."""
        return [run for run in self.runs.values() if run.status in statuses]

    def held(self) -> list[ModelRun]:
        """The runs that a replica may still end: nobody took them from it."""
        return [run for run in self.with_status("running") if run.held_by is not None]

    def claimable(self) -> list[ModelRun]:
        """Due, first of its thread, and the thread runs nothing; in the order in which they are claimed.

        All are of one fairness group, so those of a priority go as they came, also when a later one was due
        earlier. Of the first of each priority goes the one with the smallest rank, again and again.
        """
        waiting = sorted(filter(self._claimable, self.runs.values()), key=lambda run: (run.place, run.rank))
        line: list[ModelRun] = []
        while waiting:
            firsts = {run.priority: run for run in reversed(waiting)}
            line.append(min(firsts.values(), key=lambda run: run.rank))
            waiting.remove(line[-1])
        return line

    def _claimable(self, run: ModelRun) -> bool:
        before = [other for other in self.on(run.thread_id) if other.status == "running" or not other.later]
        return run.status == "pending" and not run.later and before[0] is run

    def refusal(
        self, thread_id: str, priority: Priority, strategy: MultitaskStrategy, limit: int, *, claimed: bool
    ) -> Refusal | None:
        """Why a new run must be refused, if it must be."""
        standing = self.on(thread_id)
        if standing and strategy == "reject":
            return "busy"
        ending = [run for run in standing if not self._stays(run, strategy)]
        waiting = [
            run for run in self.with_status("pending") if run.priority == priority and run not in ending
        ]
        return "full" if not claimed and len(waiting) >= limit else None

    def may_start_at_once(
        self, thread_id: str, replica: str | None, rank: float, strategy: MultitaskStrategy, *, later: bool
    ) -> bool:
        """Whether a new run must be inserted as claimed by `replica`."""
        if replica not in self.alive or later:
            return False
        standing = self.on(thread_id)
        if strategy in ("interrupt", "rollback"):
            standing = [run for run in standing if run.status == "running" or self._stays(run, strategy)]
        if standing:
            return False
        ahead = [run for run in self.claimable() if run.thread_id != thread_id or strategy == "enqueue"]
        return not any(run.rank < rank for run in ahead)

    def store(self, run: Run, replica: str | None, *, claimed: bool, later: bool, stateless: bool) -> None:
        """A new run is there, with what its strategy did to the others of its thread."""
        if run.multitask_strategy in ("interrupt", "rollback"):
            action: CancelAction = "rollback" if run.multitask_strategy == "rollback" else "interrupt"
            for other in self.on(run.thread_id):
                self.ask_to_stop(other, action, keep_thread=True)
        self.stored += 1
        rank = run.due_at.timestamp() + OFFSET_SECONDS[run.priority]
        seq = place = self.stored
        new = ModelRun(run.run_id, run.thread_id, seq, place, run.priority, rank, later, stateless)
        self.runs[run.run_id] = new
        self.rests.setdefault(run.thread_id, "idle")
        if claimed:
            assert replica is not None
            self.give(new, replica)

    def give(self, run: ModelRun, replica: str) -> None:
        """The run executes on `replica` now."""
        run.status, run.held_by, run.attempt = "running", replica, run.attempt + 1

    def ask_to_stop(self, run: ModelRun, action: CancelAction, *, keep_thread: bool = False) -> None:
        """A cancellation: at once for a run that waits, a request for one that runs."""
        if run.status == "running" or (run.status == "pending" and self._stays(run, action)):
            run.cancel = "rollback" if run.cancel == "rollback" else action
        elif run.status == "pending":
            self._stop(run, action, keep_thread=keep_thread)

    def _stays(self, run: ModelRun, action: MultitaskStrategy | CancelAction) -> bool:
        """Whether a waiting run must be undone by a replica: what it did goes before its record does."""
        begun = run.attempt > 0 or run.place == HANDED_BACK_PLACE
        return run.cancel == "rollback" or (begun and action == "rollback") or action in ("enqueue", "reject")

    def finish(self, run: ModelRun, status: RunStatus, rest: ThreadStatus) -> None:
        """The holder of a run has reported its end, and has undone what it did if that was requested."""
        self.rests[run.thread_id] = rest
        if run.cancel == "rollback":
            self._delete(run)
        else:
            self._end(run, status)

    def release(self, run: ModelRun) -> None:
        """The holder gives the run back: it goes before all that nobody gave back."""
        if run.cancel == "interrupt":
            self._stop(run, run.cancel)
        else:
            run.status, run.held_by, run.attempt = "pending", None, run.attempt - 1
            run.place, run.rank = HANDED_BACK_PLACE, run.rank - HANDED_BACK_SECONDS

    def lost(self) -> list[ModelRun]:
        """The runs whose holder's lease ran out."""
        return [run for run in self.with_status("running") if run.held_by not in self.alive]

    def reap(self, max_attempts: int) -> None:
        """Takes the lost runs from their holders."""
        for run in self.lost():
            if run.cancel is not None:
                self.release(run)
            elif run.attempt < max_attempts:
                run.status, run.held_by = "pending", None
            else:
                self.rests[run.thread_id] = "error"
                self._end(run, "error")

    def delete_thread(self, thread_id: str) -> None:
        """The thread goes with its runs."""
        for run in [run for run in self.runs.values() if run.thread_id == thread_id]:
            self._forget(run)
        del self.rests[thread_id]
        self.gone_threads.add(thread_id)

    def expire(self) -> Sequence[ModelRun]:
        """The records of all runs that have ended go."""
        ended = [run for run in self.runs.values() if not run.unfinished]
        for run in ended:
            self._forget(run)
        return ended

    def forget(self, run: ModelRun) -> None:
        """The record of a run that has ended goes."""
        self._forget(run)

    def thread_status(self, thread_id: str) -> ThreadStatus:
        """What a client must see."""
        return "busy" if self.on(thread_id) else self.rests[thread_id]

    def _stop(self, run: ModelRun, action: CancelAction, *, keep_thread: bool = False) -> None:
        if action == "rollback":
            self._delete(run, keep_thread=keep_thread)
        else:
            self._end(run, "interrupted", keep_thread=keep_thread)

    def _end(self, run: ModelRun, status: RunStatus, *, keep_thread: bool = False) -> None:
        run.status, run.held_by = status, None
        self._leave(run, keep_thread=keep_thread)

    def _delete(self, run: ModelRun, *, keep_thread: bool = False) -> None:
        self._forget(run)
        self._leave(run, keep_thread=keep_thread)

    def _leave(self, run: ModelRun, *, keep_thread: bool) -> None:
        if run.stateless and not keep_thread and not self.on(run.thread_id):
            del self.rests[run.thread_id]
            self.gone_threads.add(run.thread_id)

    def _forget(self, run: ModelRun) -> None:
        del self.runs[run.run_id]
        self.deleted.add(run.run_id)
