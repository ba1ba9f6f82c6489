"""The request for a run, independent of HTTP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from lgs_runtime.errors import InvalidRequest
from lgs_runtime.model import Json, MultitaskStrategy, Priority, Scope
from lgs_runtime.run_kwargs import Durability, NodeNames


@dataclass(frozen=True, slots=True)
class RunRequest:
    """A request for a run, with all fields checked. `thread_id` None: the run gets its own thread."""

    assistant: str
    thread_id: str | None = None
    input: Any = None
    command: Json | None = None
    metadata: Json = field(default_factory=dict)
    config: Json = field(default_factory=dict)
    context: Json = field(default_factory=dict)
    checkpoint: Json | None = None
    stream_mode: tuple[str, ...] = ("values",)
    stream_subgraphs: bool = False
    stream_resumable: bool = False
    interrupt_before: NodeNames = None
    interrupt_after: NodeNames = None
    durability: Durability = "async"
    feedback_keys: tuple[str, ...] | None = None
    strict_resume: bool = False
    multitask_strategy: MultitaskStrategy = "enqueue"
    create_thread: bool = False
    on_completion: Literal["delete", "keep"] | None = None
    delay_seconds: float = 0.0
    priority: Priority = Priority.NORMAL
    priority_given: bool = False
    """Whether the client gave the priority explicitly (`X-LGS-Priority`), not as a hint in its data."""
    webhook: str | None = None
    user: Json | None = None
    """The user (`auth.users.User` as JSON); None when the service is open."""
    request_id: str | None = None
    protocol: bool = False
    """Whether the run was started by protocol v2."""
    protocol_events: bool = False
    """Whether the run's events have the form of protocol v2."""
    created_metadata: Json = field(default_factory=dict)
    """The metadata of the thread, if one is created for the run."""
    scope: Scope | None = None
    """The threads that the run may be put on."""


def priority_of(header: str | None, config: Json, metadata: Json) -> Priority:
    """The priority of a request: its `X-LGS-Priority` header, else `configurable.priority` of its config,
    else `priority` of its metadata, else normal.

    The two fields belong to the user's graph as well, so other values in them are ignored here. Raises
    `InvalidRequest` for a header that is not a priority.
    """
    if header is not None:
        if header.lower() not in tuple(Priority):
            raise InvalidRequest(f"X-LGS-Priority: {header!r}: must be high, normal or low")
        return Priority(header.lower())
    configurable = config.get("configurable") or {}
    for given in (configurable.get("priority"), metadata.get("priority")):
        if isinstance(given, str) and given in tuple(Priority):
            return Priority(given)
    return Priority.NORMAL
