"""Bodies about threads: their records, their versions and their state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from lgs_runtime.api.schemas.bodies.fields import (
    MAX_BATCH,
    MAX_TTL_MINUTES,
    Body,
    Checkpoint,
    CheckpointId,
    Command,
    Id,
    Listing,
    Object,
    OnConflict,
    SortOrder,
)
from lgs_runtime.api.schemas.extraction import MOST_PATHS, parse_path
from lgs_runtime.model import ThreadStatus, TtlStrategy

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


def _path(text: str) -> str:
    parse_path(text)
    return text


ExtractPath = Annotated[str, Field(max_length=256), AfterValidator(_path)]


def _minutes(value: Any) -> Any:
    return {"ttl": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


class TimeToLive(Body):
    """How long a thread is left alone after its last change. Then it is deleted, or only its latest state is
    kept."""

    strategy: TtlStrategy = "delete"
    ttl: float = Field(gt=0, le=MAX_TTL_MINUTES, description="minutes")


Ttl = Annotated[TimeToLive, BeforeValidator(_minutes)]


class SuperstepUpdate(Body):
    """One update of a superstep, as a node would have made it."""

    as_node: str
    values: Any = None
    command: Command | None = None


class Superstep(Body):
    """Updates that are applied together."""

    updates: list[SuperstepUpdate] = Field(min_length=1)


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
    checkpoint_id: CheckpointId | None = None


def _named(given: Any) -> Any:
    """The checkpoint inside a configuration: the JavaScript client names a checkpoint by its whole
    configuration."""
    return given["configurable"] if isinstance(given, Mapping) and "configurable" in given else given


class StateHistory(Body):
    """`POST /threads/{thread_id}/history`."""

    limit: int = Field(10, ge=1, le=1000)
    before: Annotated[CheckpointId | Checkpoint | None, BeforeValidator(_named)] = None
    metadata: Object | None = None
    checkpoint: Checkpoint | None = None
    select: list[str] | None = None
