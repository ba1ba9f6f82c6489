"""Runs: the request for one, its record, how an attempt and the run end."""

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
    """When it may be claimed first: `created_at` unless it was delayed."""
    claimed_at: datetime | None
    """When its present or last attempt was claimed."""
    result: Json | None = None
    """What it answers, kept here only where its thread has it not: for stateless runs, whose thread is gone
    by then, and for graphs whose output is less than their state."""
    created_by: str | None = None
    """Who asked for it; None: nobody is known."""
    version: int | None = None
    """The version of its thread that its end made."""
    graph_id: str | None = None
    """The graph that it needs; None: it was stored by a replica that did not say."""
    handed_back: bool = False
    """An attempt that was not charged may have touched its thread."""
    thread_metadata: Json = field(default_factory=dict)
    """Those of its thread when it was made, which its graph finds among its own."""

    @property
    def untouched(self) -> bool:
        """Whether no attempt before this one can have stored anything for it."""
        return self.attempt <= 1 and not self.handed_back


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run to be stored. The ids are made by the caller, so that the acknowledgement can't be lost with the
    answer."""

    run_id: str
    thread_id: str
    assistant_id: str
    kwargs: Json
    metadata: Json = field(default_factory=dict)
    priority: Priority = Priority.NORMAL
    multitask_strategy: MultitaskStrategy = "enqueue"
    delay_seconds: float = 0.0
    create_thread: bool = False
    """Make the thread when it does not exist (`if_not_exists: create`, and stateless runs)."""
    thread_metadata: Json = field(default_factory=dict)
    """Merged into the thread's metadata (graph_id and assistant_id), unless it has unfinished runs: its state
    is read by the graph that made it, and not by that of a run which waits."""
    thread_config: Json | None = None
    """What the thread shows as its config from now on; None: what it showed before."""
    delete_thread_after: bool = False
    """Stateless run: the thread's record goes when it ends; the run's record keeps the values as its
    `result`."""
    webhook: str | None = None
    """URL to call when the run has ended."""
    created_metadata: Json = field(default_factory=dict)
    """The thread's metadata when it is made for this run, besides `thread_metadata`."""
    scope: Scope | None = None
    """The threads it may be put on; one that is made for it is within."""
    level: int | None = None
    """-5 … 5, within `priority`; None: the level that the priority's name stands for."""
    group: str = DEFAULT_GROUP
    """The fairness group."""
    thread_ttl: Ttl | None = None
    """Of a thread that is made for it."""
    assigned_priority: AssignedPriority | None = None
    """Kept with the thread for its later runs, unless it has one."""
    assistant_as_of: datetime | None = None
    """`updated_at` of the assistant that it was made from, when that was not read just now."""
    graph_id: str | None = None
    """The graph that it needs; None: any replica may take it."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A run that is durable. `claimed` says that it was inserted as claimed by the replica that asked."""

    run: Run
    claimed: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended, as the worker saw it.

    `thread_status` is what the thread becomes when nothing else waits on it; `values` and `interrupts` are
    those of its latest checkpoint (None: unknown, keep what is stored).
    """

    status: Literal["success", "error", "timeout", "interrupted"]
    thread_status: ThreadStatus = "idle"
    error: str | None = None
    values: Json | None = None
    interrupts: Json | None = None
    checkpoint_id: str | None = None
    """The thread's latest checkpoint at its end (None: unknown, or there is none)."""
    answer: Json | None = None
    """What the run answers, where its graph's output is less than `values` (None: those)."""
    undone: bool = False
    """Its checkpoints were deleted."""
    thread_metadata: Json = field(default_factory=dict)
    """Merged into the thread's metadata (graph_id and assistant_id), unless the run is rolled back."""
    run_metadata: Json = field(default_factory=dict)
    """Merged into the run's metadata."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What the end of a run left."""

    kept: bool
    """Whether the run's record is still there: that of one that was cancelled with `rollback` is not."""
    waiting: int
    """Unfinished runs of its thread."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A call to be made because a run has ended. `values` are those at its end (None: unknown)."""

    run: Run
    url: str
    values: Json | None
    attempt: int
    """Counts from 1."""
