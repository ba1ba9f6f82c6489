"""What requests may say: one model a body, named as in LangGraph's own API description.

Unknown fields are ignored, as LangGraph Server does, so that a newer client can talk to this server. A
field that is wrong is a 422 with its name, its value and the rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import Path
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from lgs_runtime.api.http.problems import describe_validation
from lgs_runtime.api.schemas.extraction import MOST_PATHS, parse_path
from lgs_runtime.errors import InvalidRequest
from lgs_runtime.model import MultitaskStrategy, ThreadStatus, TtlStrategy

StreamMode = Literal[
    "values",
    "updates",
    "messages",
    "messages-tuple",
    "tasks",
    "checkpoints",
    "debug",
    "events",
    "custom",
]
AssistantField = Literal[
    "assistant_id",
    "graph_id",
    "name",
    "description",
    "config",
    "context",
    "created_at",
    "updated_at",
    "metadata",
    "version",
]
ThreadField = Literal[
    "thread_id",
    "created_at",
    "updated_at",
    "state_updated_at",
    "metadata",
    "config",
    "context",
    "status",
    "values",
    "interrupts",
]
RunField = Literal[
    "run_id",
    "thread_id",
    "assistant_id",
    "created_at",
    "updated_at",
    "status",
    "metadata",
    "kwargs",
    "multitask_strategy",
    "cancel_reason",
]
SortOrder = Literal["asc", "desc"]
OnConflict = Literal["raise", "do_nothing"]
Object = dict[str, Any]
MAX_DELAY_SECONDS = 366 * 24 * 3600
MAX_TTL_MINUTES = 100 * 366 * 24 * 60
MAX_BATCH = 1000


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError("must be a UUID") from None


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _web_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        valid = valid and text.isprintable() and " " not in text
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("must be a URL that starts with http:// or https:// and names a host")
    return text


def _path(text: str) -> str:
    parse_path(text)
    return text


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


Moment = Annotated[datetime, AfterValidator(_in_utc)]
ExtractPath = Annotated[str, Field(max_length=256), AfterValidator(_path)]
WebAddress = Annotated[
    str,
    Field(max_length=2048),
    AfterValidator(_web_address),
    WithJsonSchema({"type": "string", "format": "uri", "pattern": "^https?://", "maxLength": 2048}),
]
_AS_UUID = WithJsonSchema({"type": "string", "format": "uuid"})
Id = Annotated[str, AfterValidator(_uuid), _AS_UUID]
PathId = Annotated[str, Path(), AfterValidator(_uuid), _AS_UUID]
Modes = Annotated[list[StreamMode], BeforeValidator(_listed), Field(min_length=1)]
NodeNames = Literal["*"] | list[str]
Text = Annotated[str, Field(min_length=1, max_length=1024)]


class Body(BaseModel):
    """What all bodies have in common."""

    model_config = ConfigDict(extra="ignore", frozen=True)


Model = TypeVar("Model", bound=Body)


def checked(model: type[Model], given: Mapping[str, Any]) -> Model:
    """A model from values of a query string. Raises `InvalidRequest`."""
    try:
        return model.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as wrong:
        raise InvalidRequest(describe_validation([dict(error) for error in wrong.errors()])) from wrong


class Listing(Body):
    """One page of a search."""

    limit: int = Field(10, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=2**31 - 1)


class AssistantCreate(Body):
    """`POST /assistants`."""

    graph_id: Text
    assistant_id: Id | None = None
    config: Object = Field(default_factory=dict)
    context: Object = Field(default_factory=dict)
    metadata: Object = Field(default_factory=dict)
    if_exists: OnConflict = "raise"
    name: Text | None = None
    description: str | None = None


class AssistantPatch(Body):
    """`PATCH /assistants/{assistant_id}`; what is absent stays."""

    graph_id: Text | None = None
    config: Object | None = None
    context: Object | None = None
    metadata: Object | None = None
    name: Text | None = None
    description: str | None = None


class AssistantCount(Body):
    """`POST /assistants/count`."""

    metadata: Object | None = None
    graph_id: str | None = None
    name: str | None = None


class AssistantSearch(AssistantCount, Listing):
    """`POST /assistants/search`."""

    sort_by: Literal["assistant_id", "graph_id", "name", "created_at", "updated_at"] | None = None
    sort_order: SortOrder | None = None
    select: list[AssistantField] | None = None


class AssistantVersions(Listing):
    """`POST /assistants/{assistant_id}/versions`."""

    metadata: Object | None = None


class AssistantLatest(Body):
    """`POST /assistants/{assistant_id}/latest`."""

    version: int = Field(ge=1, le=2**31 - 1)


class Command(Body):
    """What a run does instead of taking input: resume an interrupt, update the state, go to nodes."""

    update: Object | list[Any] | None = None
    resume: Any = None
    goto: Any = None


class Checkpoint(Body):
    """Names a checkpoint of a thread."""

    thread_id: str | None = None
    checkpoint_ns: str = ""
    checkpoint_id: str | None = None
    checkpoint_map: Object | None = None


class TimeToLive(Body):
    """How long a thread is left alone after its last change. Then it is deleted, or only its latest state is
    kept."""

    strategy: TtlStrategy = "delete"
    ttl: float = Field(gt=0, le=MAX_TTL_MINUTES, description="minutes")


class SuperstepUpdate(Body):
    """One update of a superstep, as a node would have made it."""

    as_node: str
    values: Any = None
    command: Command | None = None


class Superstep(Body):
    """Updates that are applied together."""

    updates: list[SuperstepUpdate] = Field(min_length=1)


def _minutes(value: Any) -> Any:
    return {"ttl": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


Ttl = Annotated[TimeToLive, BeforeValidator(_minutes)]


class ThreadCreate(Body):
    """`POST /threads`."""

    thread_id: Id | None = None
    metadata: Object = Field(default_factory=dict)
    if_exists: OnConflict = "raise"
    ttl: Ttl | None = None
    supersteps: list[Superstep] = Field(default_factory=list)


class ThreadPatch(Body):
    """`PATCH /threads/{thread_id}`."""

    metadata: Object = Field(default_factory=dict)
    ttl: Ttl | None = None


class ThreadCount(Body):
    """`POST /threads/count`."""

    metadata: Object | None = None
    values: Object | None = None
    status: ThreadStatus | None = None


class ThreadSearch(ThreadCount, Listing):
    """`POST /threads/search`."""

    ids: list[Id] | None = None
    sort_by: Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"] | None = None
    sort_order: SortOrder | None = None
    select: list[ThreadField] | None = None
    extract: Annotated[dict[str, ExtractPath], Field(max_length=MOST_PATHS)] | None = None


class ThreadPrune(Body):
    """`POST /threads/prune`."""

    thread_ids: list[Id] = Field(max_length=MAX_BATCH)
    strategy: Literal["delete", "keep_latest"] = "delete"


class VersionSave(Body):
    """`POST /threads/{thread_id}/versions`, `PATCH …/{version}` and `POST …/{version}/rollback`."""

    description: str | None = Field(None, max_length=4096)
    metadata: Object = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _absent_is_empty(cls, value: Any) -> Any:
        """No body, and null for what is left out, say nothing."""
        if value is None:
            return {}
        if isinstance(value, Mapping):
            return {name: given for name, given in value.items() if given is not None}
        return value


class StateAtCheckpoint(Body):
    """`POST /threads/{thread_id}/state/checkpoint`."""

    checkpoint: Checkpoint
    subgraphs: bool = False
    select: list[str] | None = None


class StateUpdate(Body):
    """`POST /threads/{thread_id}/state`."""

    values: Any = None
    as_node: str | None = None
    checkpoint: Checkpoint | None = None
    checkpoint_id: str | None = None


class StateHistory(Body):
    """`POST /threads/{thread_id}/history`."""

    limit: int = Field(10, ge=1, le=1000)
    before: str | Checkpoint | None = None
    metadata: Object | None = None
    checkpoint: Checkpoint | None = None
    select: list[str] | None = None


class RunConfig(Body):
    """LangChain's configuration of a call; what is not named here is passed on as it is."""

    model_config = ConfigDict(extra="allow", frozen=True)

    tags: list[str] | None = None
    recursion_limit: Annotated[int, Field(ge=1)] | None = None
    configurable: Object | None = None
    metadata: Object | None = None


class RunOptions(Body):
    """What a run may be given, whoever makes it."""

    input: Any = None
    command: Command | None = None
    metadata: Object = Field(default_factory=dict)
    config: RunConfig = RunConfig()
    context: Object = Field(default_factory=dict)
    stream_mode: Modes = ["values"]
    stream_subgraphs: bool = False
    stream_resumable: bool = False
    interrupt_before: NodeNames | None = None
    interrupt_after: NodeNames | None = None
    feedback_keys: list[str] | None = None
    strict_resume: bool = False
    webhook: WebAddress | None = None
    on_disconnect: Literal["cancel", "continue"] = "continue"
    on_completion: Literal["delete", "keep"] | None = None
    after_seconds: float = Field(0, ge=0, le=MAX_DELAY_SECONDS)
    durability: Literal["sync", "async", "exit"] | None = None
    checkpoint_during: bool | None = None

    @model_validator(mode="before")
    @classmethod
    def _absent_is_null(cls, value: Any) -> Any:
        """Clients send null for what they leave to the server."""
        if isinstance(value, Mapping):
            return {name: given for name, given in value.items() if given is not None}
        return value


class RunCreateStateless(RunOptions):
    """`POST /runs`, `/runs/wait`, `/runs/stream`, and one of `/runs/batch`."""

    assistant_id: Text


class RunCreateStateful(RunCreateStateless):
    """`POST /threads/{thread_id}/runs`, `…/runs/wait`, `…/runs/stream`."""

    checkpoint: Checkpoint | None = None
    checkpoint_id: str | None = None
    multitask_strategy: MultitaskStrategy = "enqueue"
    if_not_exists: Literal["create", "reject"] = "reject"


class RunBatch(RunCreateStateful):
    """One of `POST /runs/batch`; with a thread it is a run of that thread."""

    thread_id: Id | None = None


class RunsCancel(Body):
    """`POST /runs/cancel`: runs of a thread, or those of all threads that have a status."""

    thread_id: Id | None = None
    run_ids: list[Id] | None = Field(None, max_length=MAX_BATCH)
    status: Literal["pending", "running", "all"] | None = None

    @model_validator(mode="after")
    def _says_which(self) -> Self:
        if self.thread_id is None and (self.status is None or self.run_ids is not None):
            raise ValueError("must name a thread_id, or a status without run_ids")
        return self


class CronCreate(RunCreateStateful):
    """`POST /runs/crons` and `POST /threads/{thread_id}/runs/crons`."""

    schedule: Text
    timezone: Text | None = None
    end_time: Moment | None = None
    enabled: bool = True
    on_run_completed: Literal["delete", "keep"] | None = None


class CronPatch(RunOptions):
    """`PATCH /runs/crons/{cron_id}`; what is absent stays, and `end_time` null takes it away."""

    schedule: Text = ""
    timezone: Text | None = None
    end_time: Moment | None = None
    enabled: bool = True
    on_run_completed: Literal["delete", "keep"] | None = None
    multitask_strategy: MultitaskStrategy = "enqueue"

    @model_validator(mode="before")
    @classmethod
    def _absent_is_null(cls, value: Any) -> Any:
        """As elsewhere, but for `end_time`."""
        if isinstance(value, Mapping):
            return {name: given for name, given in value.items() if given is not None or name == "end_time"}
        return value


class CronCount(Body):
    """`POST /runs/crons/count`."""

    assistant_id: Text | None = None
    thread_id: Id | None = None
    enabled: bool | None = None
    metadata: Object | None = None


class CronSearch(CronCount, Listing):
    """`POST /runs/crons/search`."""

    sort_by: (
        Literal[
            "cron_id",
            "assistant_id",
            "thread_id",
            "created_at",
            "updated_at",
            "next_run_date",
            "end_time",
        ]
        | None
    ) = None
    sort_order: SortOrder | None = None
    select: list[str] | None = None


class StoreKey(Body):
    """Names an item; `DELETE /store/items`."""

    namespace: Sequence[str] = ()
    key: Annotated[str, Field(min_length=1)]


class StorePut(StoreKey):
    """`PUT /store/items`."""

    value: Object
    index: Literal[False] | list[str] | None = None
    ttl: float | None = Field(None, gt=0, le=MAX_TTL_MINUTES, description="minutes")


class StoreSearch(Listing):
    """`POST /store/items/search`."""

    namespace_prefix: Sequence[str] = ()
    filter: Object | None = None
    query: str | None = None
    refresh_ttl: bool | None = None


class StoreNamespaces(Body):
    """`POST /store/namespaces`."""

    prefix: list[str] | None = None
    suffix: list[str] | None = None
    max_depth: int | None = Field(None, ge=1)
    limit: int = Field(100, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=2**31 - 1)
