"""The request bodies of protocol v2: subscriptions, and the parameters of its commands, named as in the
protocol (`langchain_protocol`)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, StrictInt

from lgs_runtime.api.schemas.bodies import Body, Id, Object, RunConfig, SparseBody, Text
from lgs_runtime.api.schemas.bodies.fields import CheckpointId
from lgs_runtime.model import MultitaskStrategy
from lgs_runtime.streams.stream_v2 import CHANNELS, Subscription, is_channel

MOST_NAMESPACES = 1000
Segments = list[str]


def _channel(name: str) -> str:
    if not is_channel(name):
        raise ValueError(f"must be one of {', '.join(sorted(CHANNELS))}, or custom:<name>")
    return name


Channel = Annotated[str, AfterValidator(_channel)]


class Params(SparseBody):
    """What all parameters have in common."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class Subscribe(Params):
    """The events that are subscribed to: `subscription.subscribe`, and with `since` `POST
    …/stream/events`."""

    channels: list[Channel] = Field(min_length=1)
    namespaces: list[Segments] | None = Field(None, max_length=MOST_NAMESPACES)
    depth: Annotated[StrictInt, Field(ge=0)] | None = None
    since: Annotated[StrictInt, Field(ge=0)] | None = None

    def subscription(self) -> Subscription:
        """The subscription in the form that the streams use."""
        namespaces = tuple(tuple(namespace) for namespace in self.namespaces or ())
        return Subscription(frozenset(self.channels), namespaces, self.depth)


class ProtocolCommand(Params):
    """`POST …/commands`, and each message of a WebSocket."""

    id: Annotated[StrictInt, Field(ge=0)]
    method: str
    params: Object = Field(default_factory=dict)


class Tracer(Body):
    """A second LangSmith project for a run's trace. Read and stored with the run, not acted on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    project_name: str | None = None
    example_id: str | None = None


class RunStart(Params):
    """`run.start`."""

    assistant_id: Text
    input: Any = None
    config: RunConfig = RunConfig()
    context: Object = Field(default_factory=dict)
    metadata: Object | None = None
    multitask_strategy: MultitaskStrategy = Field("enqueue", alias="multitaskStrategy")
    langsmith_tracer: Tracer | None = None


class Answer(Body):
    """One answer to one question."""

    interrupt_id: str
    response: Any = None
    namespace: Segments = Field(default_factory=list)


class InputRespond(Params):
    """`input.respond`: one answer, or several in `responses`."""

    interrupt_id: str | None = None
    response: Any = None
    namespace: Segments = Field(default_factory=list)
    responses: list[Answer] | None = Field(None, min_length=1)
    update: Object | None = None
    goto: Any = None
    config: RunConfig = RunConfig()
    metadata: Object | None = None


class StateGet(Params):
    """`state.get`."""

    namespace: Segments = Field(default_factory=list)
    keys: list[str] | None = None


class ListCheckpoints(Params):
    """`state.listCheckpoints`; `before` is the id of a checkpoint."""

    namespace: Segments = Field(default_factory=list)
    limit: Annotated[StrictInt, Field(ge=1, le=1000)] = 10
    before: CheckpointId | None = None


class StateFork(Params):
    """`state.fork`: a run from an earlier checkpoint on."""

    checkpoint_id: Id
    input: Any = None
    config: RunConfig = RunConfig()


class Unsubscribe(Body):
    """`subscription.unsubscribe`."""

    subscription_id: str
