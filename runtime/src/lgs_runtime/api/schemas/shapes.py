"""What answers look like, for the API's description: named and shaped as `langgraph_sdk.schema`, with our
additions. Answers are encoded from our records in `encoding.py`; a test holds the two together."""

from __future__ import annotations

from datetime import datetime
from types import GenericAlias
from typing import Any

from pydantic import BaseModel, Field, create_model

from lgs_runtime.model import MultitaskStrategy, Priority, RunStatus, ThreadStatus, TtlStrategy

Object = dict[str, Any]


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str = Field(description="`name: value: rule`, or what was not found")


class Assistant(BaseModel):
    """A graph with a configuration, in one version."""

    assistant_id: str
    graph_id: str
    name: str
    description: str | None
    config: Object
    context: Object
    metadata: Object
    version: int
    created_at: datetime
    updated_at: datetime


class Interrupt(BaseModel):
    """A question that a graph waits to be answered."""

    value: Any
    id: str
    response_schema: Any = Field(None, description="what an answer must be, where the graph says so")


class ThreadTtl(BaseModel):
    """How long a thread is left alone after its last change."""

    strategy: TtlStrategy
    ttl_minutes: float
    expires_at: datetime | None = Field(description="null when what was due then is done")


class Thread(BaseModel):
    """A session: the record, with the values at the end of its latest run."""

    thread_id: str
    created_at: datetime
    updated_at: datetime
    state_updated_at: datetime
    metadata: Object
    config: Object
    status: ThreadStatus
    values: Any = Field(description="null before the first run")
    interrupts: dict[str, list[Any]] = Field(description="the open interrupts, by task")
    error: Object | None = Field(
        description="`error` and `message` of the exception that its latest run failed with"
    )
    extracted: Object | None = Field(None, description="what `extract` asked for")
    ttl: ThreadTtl | None = Field(None, description="with `include=ttl`; null: it is kept for ever")


class Checkpoint(BaseModel):
    """Names a checkpoint of a thread."""

    thread_id: str | None = None
    checkpoint_ns: str
    checkpoint_id: str | None = Field(None, description="absent: the latest")
    checkpoint_map: Object | None = None


class Task(BaseModel):
    """A node that is next, or was interrupted or failed."""

    id: str
    name: str
    path: list[Any]
    error: str | None
    interrupts: list[Interrupt]
    checkpoint: Checkpoint | None
    state: Object | None = Field(description="the state of a subgraph, when asked for")
    result: Any


class ThreadState(BaseModel):
    """The state of a thread at a checkpoint."""

    values: Any
    next: list[str]
    tasks: list[Task]
    metadata: Object
    created_at: datetime | None
    checkpoint: Checkpoint | None
    parent_checkpoint: Checkpoint | None
    interrupts: list[Interrupt]
    checkpoint_id: str | None
    parent_checkpoint_id: str | None


class StateUpdated(BaseModel):
    """The checkpoint that a change of the state made."""

    checkpoint: Object
    configurable: Object
    checkpoint_id: str | None = None


class Run(BaseModel):
    """One execution of a graph."""

    run_id: str
    thread_id: str
    assistant_id: str
    created_at: datetime
    updated_at: datetime
    status: RunStatus
    metadata: Object
    kwargs: Object = Field(description="what the run was given")
    multitask_strategy: MultitaskStrategy
    priority: Priority
    attempt: int = Field(description="how often it was begun; 0 while it waits for the first time")
    error: str | None
    version: int | None = Field(description="the thread's version that this run left")


class Amount(BaseModel):
    """Rows, and what they take."""

    count: int
    bytes: int


class ChannelAmount(BaseModel):
    """What one channel's values take."""

    versions: int
    bytes: int


class ChannelAmounts(Amount):
    """What the values of all channels take."""

    by_channel: dict[str, ChannelAmount]


class ThreadStorage(BaseModel):
    """What the checkpoints of a thread take."""

    thread_id: str
    total_bytes: int
    checkpoints: Amount
    channel_values: ChannelAmounts
    pending_writes: Amount


class Version(BaseModel):
    """A state of a thread that can be gone back to."""

    thread_id: str
    version: int
    checkpoint_id: str | None
    run_id: str | None
    description: str | None
    metadata: Object
    interrupts: Any
    created_at: datetime
    created_by: str | None


class AuditEntry(BaseModel):
    """Who did what to a thread, and when."""

    at: datetime
    who: str | None
    what: str
    details: Object


class VersionState(Version):
    """A version with its state."""

    values: Any
    next: list[str]
    tasks: list[Task]
    checkpoint: Checkpoint | None
    parent_checkpoint: Checkpoint | None


class Cron(BaseModel):
    """A schedule by which runs are made."""

    cron_id: str
    assistant_id: str
    thread_id: str | None
    on_run_completed: str | None
    end_time: datetime | None
    schedule: str
    timezone: str | None
    created_at: datetime
    updated_at: datetime
    payload: Object = Field(description="what each run is given")
    user_id: str | None
    next_run_date: datetime | None
    metadata: Object
    enabled: bool


class Item(BaseModel):
    """A value in the store."""

    namespace: list[str]
    key: str
    value: Object
    created_at: datetime
    updated_at: datetime
    score: float | None = Field(None, description="how near it is to the query, where the store has an index")


class Items(BaseModel):
    """A page of items."""

    items: list[Item]


class Namespaces(BaseModel):
    """A page of namespaces."""

    namespaces: list[list[str]]


class Pruned(BaseModel):
    """How many threads were pruned."""

    pruned_count: int


class GraphSchemas(BaseModel):
    """JSON schemas of a graph; null where a type has none."""

    input_schema: Object | None
    output_schema: Object | None
    state_schema: Object | None
    config_schema: Object | None
    context_schema: Object | None


class AssistantSchemas(GraphSchemas):
    """JSON schemas of an assistant's graph."""

    graph_id: str


class Drawing(BaseModel):
    """A graph's nodes and edges."""

    nodes: list[Object]
    edges: list[Object]


class Alive(BaseModel):
    """The process lives."""

    ok: bool


class Readiness(BaseModel):
    """Whether the replica takes work, and why not."""

    ready: bool
    checks: dict[str, str]
    database_id: str


class Info(BaseModel):
    """What a server is and can do."""

    version: str
    langgraph_py_version: str
    flags: dict[str, Any]
    service: str
    replica: str
    storage: str
    graphs: list[str]


def _part_of(whole: type[BaseModel]) -> Any:
    """The shape of a record of which `select` may leave out fields."""
    fields: dict[str, Any] = {name: (field.annotation, None) for name, field in whole.model_fields.items()}
    about = f"{whole.__name__} with the fields that `select` names; with all without it."
    return create_model(f"{whole.__name__}Fields", __doc__=about, **fields)


def _parts_of(whole: type[BaseModel]) -> Any:
    return GenericAlias(list, (_part_of(whole),))


StateFields = _part_of(ThreadState)
States = GenericAlias(list, (StateFields,))
Assistants, Threads, Runs, Crons = (_parts_of(whole) for whole in (Assistant, Thread, Run, Cron))
