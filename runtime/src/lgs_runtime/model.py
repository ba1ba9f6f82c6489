"""What the runtime talks about: assistants, threads, runs, and the requests that make and end them.

Plain frozen values without behaviour, shared by the storage, the workers and the API. Times are aware
datetimes in UTC, durations are seconds, ids are strings in UUID form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

Json = Mapping[str, Any]
RunStatus = Literal["pending", "running", "error", "success", "timeout", "interrupted"]
ThreadStatus = Literal["idle", "busy", "interrupted", "error"]
MultitaskStrategy = Literal["reject", "enqueue", "interrupt", "rollback"]
CancelAction = Literal["interrupt", "rollback"]
TtlStrategy = Literal["delete", "keep_latest"]
DEFAULT_GROUP = "default"
ROOT = "__root__"
QUESTIONS = "__interrupt__"
FINAL: frozenset[RunStatus] = frozenset({"error", "success", "timeout", "interrupted"})


class Priority(StrEnum):
    """How urgent a run is. The queue serves high before normal before low, with aging."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class AssignedPriority:
    """Where the runs of a thread stand in the queue."""

    level: int = 0
    """From -5, the most urgent, to 5."""
    group: str = DEFAULT_GROUP
    """Groups of one level are served in turn, however many runs each has waiting."""


@dataclass(frozen=True, slots=True)
class Assistant:
    """A graph with its configuration, at its current version."""

    assistant_id: str
    graph_id: str
    name: str
    description: str | None
    config: Json
    context: Json
    metadata: Json
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Ttl:
    """How long a thread is left alone after its last change. Then it is deleted, or loses all but its latest
    state."""

    seconds: float
    strategy: TtlStrategy = "delete"


@dataclass(frozen=True, slots=True)
class Thread:
    """A session. `values` and `interrupts` are those of its latest checkpoint when its last run ended."""

    thread_id: str
    metadata: Json
    config: Json
    status: ThreadStatus
    values: Json | None
    interrupts: Json
    error: str | None
    created_at: datetime
    updated_at: datetime
    state_updated_at: datetime
    assigned_priority: AssignedPriority | None = None
    """What its first run settled for its later ones; None: nothing yet."""
    ttl: Ttl | None = None
    """None: it is kept for ever."""
    expires_at: datetime | None = None
    """When its time is over unless it changes before; None: never, or what was due then is done."""


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
class Scope:
    """Records whose metadata contains one of `any_of`; none at all when that is empty."""

    any_of: tuple[Json, ...]


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
class QueueLimits:
    """How many runs of each priority may wait, over all replicas of the service."""

    high: int = 100
    normal: int = 500
    low: int = 1000
    user: int | None = None
    """How many unfinished runs one user may have; None: any number."""

    def of(self, priority: Priority) -> int:
        """The limit of one priority, in runs."""
        return {Priority.HIGH: self.high, Priority.NORMAL: self.normal, Priority.LOW: self.low}[priority]


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A run that is durable. `claimed` says that it was inserted as claimed by the replica that asked."""

    run: Run
    claimed: bool


@dataclass(frozen=True, slots=True)
class Webhook:
    """A call to be made because a run has ended. `values` are those at its end (None: unknown)."""

    run: Run
    url: str
    values: Json | None
    attempt: int
    """Counts from 1."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What the end of a run left."""

    kept: bool
    """Whether the run's record is still there: that of one that was cancelled with `rollback` is not."""
    waiting: int
    """Unfinished runs of its thread."""


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
class Version:
    """A numbered state of a thread, made by the end of a run or by hand. `interrupts` are the questions that
    waited for a person then, by task."""

    thread_id: str
    version: int
    checkpoint_id: str
    run_id: str | None
    """The run whose end it is; None: it was saved by hand, or rolled back to."""
    description: str | None
    metadata: Json
    interrupts: Json
    created_at: datetime
    created_by: str | None
    """Who asked for the run, or saved it; None: nobody is known."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to a thread, and when by the database's clock. `who` None: nobody is known, or the
    service did it by itself."""

    at: datetime
    who: str | None
    what: str
    details: Json


@dataclass(frozen=True, slots=True)
class PriorityDepth:
    """Runs of one priority that wait and could be claimed now, and the age of the oldest in seconds (0 when
    none)."""

    waiting: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """The whole service's queue at one moment. `blocked` runs wait for their thread or for their time."""

    high: PriorityDepth
    normal: PriorityDepth
    low: PriorityDepth
    blocked: int
    unserved: Mapping[str, int] = field(default_factory=dict)
    """Runs, by their graph, that wait for a replica that has it: none that lives does. They are among none of
    the others."""
    next_due_seconds: float | None = None
    """Seconds until the next delayed run, or cron, is due. None: nothing is to come."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A message from another replica. A signal may be lost or doubled: whoever needs certainty reads the
    storage too.

    `queued`: a run may be claimable; `cancel`: the run was asked to stop; `finished`: the run ended;
    `thread`: a run of the thread has begun, or was cancelled before it could, or the thread is gone.
    `subject` is the id of the run, or of the thread.
    """

    kind: Literal["queued", "cancel", "finished", "thread"]
    subject: str


@dataclass(frozen=True, slots=True)
class Cron:
    """A run that is made again and again. `payload` is the request of each, as the API validated it."""

    cron_id: str
    assistant_id: str
    thread_id: str | None
    """None: each run has a thread of its own."""
    schedule: str
    """Five fields, in the time of `timezone`."""
    timezone: str | None
    """A name of the IANA database; None: UTC."""
    payload: Json
    metadata: Json
    on_run_completed: Literal["delete", "keep"] | None
    end_time: datetime | None
    enabled: bool
    next_run_date: datetime | None
    """When the next run is due; None: never."""
    created_at: datetime
    updated_at: datetime
    caller: Json | None = None
    """Who made it (`auth.users.User` as JSON), and in whose name its runs are made."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search: where it starts, how many it holds at most, and how it is sorted."""

    limit: int = 10
    offset: int = 0
    sort_by: str = "created_at"
    sort_order: Literal["asc", "desc"] = "desc"


def questions(interrupts: Json | None) -> list[Any]:
    """What a thread asks: the interrupts of all its tasks, which are kept as lists by the tasks' ids."""
    return [interrupt for of_task in (interrupts or {}).values() for interrupt in of_task]


def with_questions(values: Json | None, asked: Sequence[Any]) -> Json:
    """Values with what was asked under `__interrupt__`, if anything was. Where the whole is no object,
    the questions are all there is, as LangGraph streams it."""
    if not asked:
        return values or {}
    named = {name: value for name, value in (values or {}).items() if name != ROOT}
    return {**named, QUESTIONS: list(asked)}


def failure_of(reason: str) -> Json:
    """Why a run failed, kept as `Name: text` of an exception or as any other reason, as clients expect it."""
    name, colon, message = reason.partition(": ")
    if colon and name.replace(".", "").isidentifier():
        return {"error": name, "message": message}
    return {"error": "RunFailed", "message": reason}


def without_questions(values: Json | None) -> Json | None:
    """The opposite of `with_questions`."""
    if values is None or QUESTIONS not in values:
        return values
    return {name: value for name, value in values.items() if name != QUESTIONS}


def rooted(values: Any) -> Json:
    """Values as they are kept. Those of a graph whose state is no object (`@entrypoint`, one channel as
    the whole) stand under the name that LangGraph gives such a channel."""
    return values if isinstance(values, Mapping) else {ROOT: values}


def unrooted(values: Json | None) -> Any:
    """Values as a client gets them: the opposite of `rooted`."""
    return values[ROOT] if values is not None and values.keys() == {ROOT} else values
