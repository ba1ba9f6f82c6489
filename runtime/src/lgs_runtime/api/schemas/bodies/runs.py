"""Bodies about runs: the options of a run, and which runs to cancel."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from lgs_runtime.api.schemas.bodies.fields import (
    MAX_BATCH,
    Body,
    Checkpoint,
    CheckpointId,
    Command,
    Id,
    Object,
    SparseBody,
    Text,
)
from lgs_runtime.model import MultitaskStrategy

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

MAX_DELAY_SECONDS = 366 * 24 * 3600


def _listed(value: Any) -> Any:
    """A list of one mode or several. An empty list means the default, `values`: `useStream` sends it while
    its page reads nothing."""
    if value == []:
        return ["values"]
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


WebAddress = Annotated[
    str,
    Field(max_length=2048),
    AfterValidator(_web_address),
    WithJsonSchema({"type": "string", "format": "uri", "pattern": "^https?://", "maxLength": 2048}),
]

Modes = Annotated[list[StreamMode], BeforeValidator(_listed)]
NodeNames = Literal["*"] | list[str]


class RunConfig(Body):
    """LangChain's configuration of a call; what is not named here is passed on as it is."""

    model_config = ConfigDict(extra="allow", frozen=True)

    tags: list[str] | None = None
    recursion_limit: Annotated[int, Field(ge=1)] | None = None
    configurable: Object | None = None
    metadata: Object | None = None


class RunOptions(SparseBody):
    """What a run may be given."""

    input: Any = None
    command: Command | None = None
    metadata: Object = Field(default_factory=dict)
    config: RunConfig = RunConfig()
    context: Object = Field(default_factory=dict)
    stream_mode: Modes = Field(["values"])
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


class RunCreateStateless(RunOptions):
    """`POST /runs`, `/runs/wait`, `/runs/stream`, and one of `/runs/batch`."""

    assistant_id: Text


class RunCreateStateful(RunCreateStateless):
    """`POST /threads/{thread_id}/runs`, `…/runs/wait`, `…/runs/stream`."""

    checkpoint: Checkpoint | None = None
    checkpoint_id: CheckpointId | None = None
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
