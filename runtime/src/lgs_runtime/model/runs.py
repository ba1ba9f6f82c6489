"""Runs: the request for one, its record, and how an attempt and the run end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from lgs_runtime.model.base import Json, Scope
from lgs_runtime.model.queue import DEFAULT_GROUP, AssignedPriority, Priority
from lgs_runtime.model.threads import ThreadStatus, Ttl

RunStatus = Literal["pending", "running", "error", "success", "timeout", "interrupted"]
MultitaskStrategy = Literal["reject", "enqueue", "interrupt", "rollback"]
CancelAction = Literal["interrupt", "rollback"]
FINAL: frozenset[RunStatus] = frozenset({"error", "success", "timeout", "interrupted"})


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it is stored.

    `kwargs` holds everything the worker needs besides the columns (input, command, config, context, stream
    modes, interrupts, durability, webhook, …), as validated by the API; the storage does not read it.
    """

    run_id: str
    thread_id: str
    assistant_id: str
    status: RunStatus
    priority: Priority
    metadata: Json
    kwargs: Json
    multitask_strategy: MultitaskStrategy
    attempt: int
    """Attempts charged so far. Handing a run back on drain charges none."""
    error: str | None
    """Why the run ended in `error` or `timeout`."""
    cancel_requested: CancelAction | None
    created_at: datetime
    updated_at: datetime
    due_at: datetime
    """When it may first be claimed: `created_at` unless it was delayed."""
    claimed_at: datetime | None
    """When its present or last attempt was claimed."""
    result: Json | None = None
    """The run's answer, kept here only if its thread does not have it: for stateless runs, whose thread is
    gone by then, and for graphs whose output is less than their state."""
    created_by: str | None = None
    """Who asked for the run; None: unknown."""
    version: int | None = None
    """The version of its thread that the run's end made."""
    graph_id: str | None = None
    """The graph that the run needs; None: the replica that stored it did not say, and any replica may take
    it."""
    handed_back: bool = False
    """An attempt that was not charged may have changed its thread."""
    thread_metadata: Json = field(default_factory=dict)
    """Metadata of its thread when the run was made; the graph finds it among the run's own metadata."""

    @property
    def untouched(self) -> bool:
        """Whether no attempt before this one can have stored anything for the run."""
        return self.attempt <= 1 and not self.handed_back


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be stored. The caller makes the ids, so that a lost answer does not lose the
    acknowledgement."""

    run_id: str
    thread_id: str
    assistant_id: str
    kwargs: Json
    metadata: Json = field(default_factory=dict)
    priority: Priority = Priority.NORMAL
    multitask_strategy: MultitaskStrategy = "enqueue"
    delay_seconds: float = 0.0
    create_thread: bool = False
    """Whether to make the thread when it does not exist (`if_not_exists: create`, and stateless runs)."""
    thread_metadata: Json = field(default_factory=dict)
    """Merged into the thread's metadata (graph_id and assistant_id), unless the thread has unfinished runs:
    its state is read by the graph that made it, not by the graph of a waiting run."""
    thread_config: Json | None = None
    """The config that the thread shows from now on; None: the one it showed before."""
    delete_thread_after: bool = False
    """Marks a stateless run: the thread's record is deleted when the run ends, and the run's record keeps the
    values as its `result`."""
    webhook: str | None = None
    """URL to call when the run has ended."""
    created_metadata: Json = field(default_factory=dict)
    """Metadata of the thread that is made for the run, besides `thread_metadata`."""
    scope: Scope | None = None
    """The threads that the run may be put on; a thread made for it counts as within."""
    level: int | None = None
    """-5 … 5, within `priority`; None: the level that the priority's name stands for."""
    group: str = DEFAULT_GROUP
    """The fairness group."""
    thread_ttl: Ttl | None = None
    """Time to live of the thread that is made for the run."""
    assigned_priority: AssignedPriority | None = None
    """The priority kept with the thread for its later runs, unless the thread has one."""
    assistant_as_of: datetime | None = None
    """`updated_at` of the assistant that the run was made from, if that was not read just now."""
    graph_id: str | None = None
    """The graph that the run needs; None: any replica may take it."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A run that is stored durably. `claimed`: it was inserted as claimed by the replica that asked."""

    run: Run
    claimed: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended, as the worker saw it.

    `thread_status` is what the thread becomes when no other run waits on it; `values` and `interrupts` are
    those of its latest checkpoint (None: unknown, keep what is stored).
    """

    status: Literal["success", "error", "timeout", "interrupted"]
    thread_status: ThreadStatus = "idle"
    error: str | None = None
    values: Json | None = None
    interrupts: Json | None = None
    checkpoint_id: str | None = None
    """The thread's latest checkpoint when the attempt ended (None: unknown, or there is none)."""
    answer: Json | None = None
    """The run's answer, if its graph's output is less than `values` (None: the answer is `values`)."""
    undone: bool = False
    """The checkpoints of the run were deleted."""
    thread_metadata: Json = field(default_factory=dict)
    """Merged into the thread's metadata (graph_id and assistant_id), unless the run is rolled back."""
    run_metadata: Json = field(default_factory=dict)
    """Merged into the run's metadata."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What remains after the end of a run."""

    kept: bool
    """Whether the run's record still exists: a run that was cancelled with `rollback` has none."""
    waiting: int
    """Unfinished runs of the thread."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A call to make because a run has ended. `values` are those at the run's end (None: unknown)."""

    run: Run
    url: str
    values: Json | None
    attempt: int
    """The number of the attempt, from 1."""
