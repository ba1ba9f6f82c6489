"""The content of `Run.kwargs`, which the API validates and the worker reads.

Only this module knows the JSON form: `RunKwargs.to_json` writes it, `RunKwargs.from_json` reads it. Unknown
keys are ignored and missing ones take their defaults, so that replicas of two versions can share a queue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Final, Literal

from lgs_runtime.auth.users import User
from lgs_runtime.checkpoint.configs import OF_THE_REQUEST
from lgs_runtime.graphs.factories import who_asks

Durability = Literal["sync", "async", "exit"]
ABOUT_THE_CALLER = OF_THE_REQUEST
"""Keys of `configurable` that identify the caller. Only `about_the_caller` fills them, never a request."""
NodeNames = Sequence[str] | Literal["*"] | None


@dataclass(frozen=True, slots=True)
class RunKwargs:
    """Everything that the worker needs to know of a run besides its columns. All values are JSON."""

    input: Any = None
    """The graph's input, ignored if `command` is given. None without a command: go on from the checkpoint."""
    command: Mapping[str, Any] | None = None
    """`{"resume": …, "update": …, "goto": …}`, as in `langgraph_sdk.schema.Command`."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The assistant's config, overridden by the request's: `configurable`, `tags`, `recursion_limit`,
    `metadata`."""
    context: Mapping[str, Any] | None = None
    stream_mode: Sequence[str] = ("values",)
    stream_subgraphs: bool = False
    stream_resumable: bool = False
    interrupt_before: NodeNames = None
    interrupt_after: NodeNames = None
    durability: Durability = "async"
    checkpoint: Mapping[str, Any] | None = None
    """Where to start: `{"checkpoint_id": …, "checkpoint_ns": …, "checkpoint_map": …}`; None: the latest."""
    feedback_keys: Sequence[str] | None = None
    strict_resume: bool = False
    """Whether the run fails if it answers a question that is not waiting."""
    webhook: str | None = None
    on_completion: Literal["delete", "keep"] | None = None
    temporary: bool = False
    """Whether the thread was made for this run alone: its checkpoints are deleted with it."""
    user: Mapping[str, Any] | None = None
    """The user who asked for the run (`auth.users.User` as JSON)."""
    request_id: str | None = None
    encryption_context: Mapping[str, Any] | None = None
    """The context that the run's state is encrypted with."""
    unreadable: str | None = None
    """Why the stored run can't be decrypted; the run ends with this reason."""
    trace: Mapping[str, Any] | None = None
    """The trace that the run belongs to (`tracing.propagation`)."""
    protocol: bool = False
    """Whether the run was started through protocol v2: its events have that protocol's form, and if a
    question of the thread is waiting when it begins, its input is the answer."""
    protocol_events: bool = False
    """Whether its events have the form of protocol v2, however it was started, because clients follow its
    thread through that protocol."""

    @property
    def speaks_protocol(self) -> bool:
        """Whether its events have the form of protocol v2."""
        return self.protocol or self.protocol_events

    def to_json(self) -> dict[str, Any]:
        """The JSON object to store, without fields that have their default value."""
        pairs = zip(_DEFAULTS.items(), _values_of(self), strict=True)
        return {name: value for (name, default), value in pairs if value is not default and value != default}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> RunKwargs:
        """Reads what `to_json` wrote."""
        return cls(**{name: value for name, value in stored.items() if name in _DEFAULTS})


_DEFAULTS: Final[Mapping[str, Any]] = {
    each.name: getattr(RunKwargs(), each.name) for each in fields(RunKwargs)
}
"""Default value by field. Computed once, as there are hundreds of runs a second."""
_values_of: Final = attrgetter(*_DEFAULTS)


def about_the_caller(user: Mapping[str, Any] | None, request_id: str | None) -> dict[str, Any]:
    """The entries of a graph's `configurable` that say who asked, and by which request."""
    return {**who_asks(None if user is None else User(user)), "langgraph_request_id": request_id}
