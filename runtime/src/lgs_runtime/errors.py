"""Every error the runtime raises on purpose, as a small tree.

A message gives the name, the value, the rule and the way out. Only `api/http/problems.py` decides which
HTTP status each becomes; errors of a driver are translated where the driver is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TypeVar


class RuntimeFault(Exception):
    """Root of the tree. Never raised itself."""

    shown: str = ""
    """What a command prints above the message: the traceback of the user's code that raised."""


class ConfigError(RuntimeFault):
    """Settings, `langgraph.json` or a graph that can't work. The process ends with exit code 2."""

    def __init__(self, message: str, *, shown: str = "") -> None:
        super().__init__(message)
        self.shown = shown


class ConfigErrors(ConfigError):
    """Several of them, each a line of the message."""

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        """Of tracebacks that are the same, one is shown."""
        self.errors = [one for error in errors for one in getattr(error, "errors", [error])]
        shown = dict.fromkeys(error.shown for error in errors if error.shown)
        super().__init__("\n".join(map(str, errors)), shown="\n".join(shown))


class InvalidRequest(RuntimeFault):
    """The request can't be served as it stands (422)."""


class NotFound(RuntimeFault):
    """Something named in the request does not exist (404)."""

    def __init__(self, kind: str, name: str, hint: str = "") -> None:
        """`hint` says what there is instead."""
        super().__init__(f"{kind} {name!r} not found; {hint}" if hint else f"{kind} {name} not found")
        self.kind = kind
        self.name = name


class GraphElsewhere(NotFound):
    """This replica does not have the graph and another one does, as in a rollout (503 with `Retry-After`)."""

    def __init__(self, graph_id: str, retry_after_seconds: int = 2) -> None:
        super().__init__("graph", graph_id)
        self.args = (
            f"graph {graph_id!r}: another replica has it and this one does not, as in a rollout: "
            f"try again in {retry_after_seconds} s",
        )
        self.retry_after_seconds = retry_after_seconds


_Value = TypeVar("_Value")


def existing(found: _Value | None, kind: str, name: str) -> _Value:
    """What was searched for by its name. Raises `NotFound` when it does not exist."""
    if found is None:
        raise NotFound(kind, name)
    return found


class Unauthenticated(RuntimeFault):
    """The caller is not authenticated: a key is missing or not valid (401)."""


class Forbidden(RuntimeFault):
    """Who asks is known, and may not do this (403)."""


class RefusedByHandler(RuntimeFault):
    """The graph's own authentication or authorisation refused, with a status of its choice."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str]) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers


class HandlerFailed(RuntimeFault):
    """A function of the application that decides for the service raised, or answered what it may not (500).
    Nothing was stored."""


class EncryptionFailed(HandlerFailed):
    """A handler of `encryption` raised, or made what can't be kept (500). Its message names the model and the
    field, and holds nothing of what they say."""


class ProviderFailed(RuntimeFault):
    """What the application has the service call failed: its embedding provider, its own store, the code of a
    graph that a request waits for (502). The message has its words."""


class AssistantChanged(RuntimeFault):
    """The assistant is no longer what a run was made from; nothing was stored. Who made the run reads it
    again and makes it anew, so that no client sees this."""


class Conflict(RuntimeFault):
    """The request contradicts the present state, such as a run on a busy thread with strategy `reject`
    (409)."""


class QueueFull(RuntimeFault):
    """The queue of this priority holds as many runs as it may; nothing was stored (429 with
    `Retry-After`)."""

    def __init__(self, priority: str, limit: int, retry_after_seconds: int) -> None:
        super().__init__(
            f"queue of priority {priority} is full: it may hold {limit} waiting runs; "
            f"try again in {retry_after_seconds} s"
        )
        self.priority = priority
        self.limit = limit
        self.retry_after_seconds = retry_after_seconds


class UserLimit(QueueFull):
    """This user has as many unfinished runs as a user may have; nothing was stored (429 with
    `Retry-After`)."""

    def __init__(self, priority: str, limit: int, retry_after_seconds: int) -> None:
        super().__init__(priority, limit, retry_after_seconds)
        self.args = (
            f"unfinished runs of the user: {limit}: must be at most {limit}; wait for one, or cancel one; "
            f"try again in {retry_after_seconds} s",
        )


class BudgetUsedUp(QueueFull):
    """A budget of the service or of this user is used up; nothing was stored (429 with `Retry-After`, until
    enough of it is over)."""

    def __init__(self, budget: str, most: float, retry_after_seconds: int) -> None:
        super().__init__("", 0, retry_after_seconds)
        self.args = (
            f"budget {budget} is used up: {most:.15g} may be spent; try again in {retry_after_seconds} s",
        )
        self.budget = budget


class RollbackAsked(RuntimeFault):
    """A run that was to be stored as ended was asked to be rolled back meanwhile: its checkpoints must go
    first. No client sees this."""


class StorageUnavailable(RuntimeFault):
    """The database can't be reached now (503 with `Retry-After`). Nothing was acknowledged."""


class CacheNotCleared(StorageUnavailable):
    """Redis, or a node of it, did not forget what was to be forgotten (503 with `Retry-After`)."""


class GraphCircuitOpen(RuntimeFault):
    """Too many runs of a graph have failed of late: none is taken for now; nothing was stored (503 with
    `Retry-After`)."""

    def __init__(self, graph_id: str, retry_after_seconds: float) -> None:
        self.retry_after_seconds = max(1, ceil(retry_after_seconds))
        super().__init__(
            f"graph {graph_id!r}: too many of its runs have failed; its circuit breaker is open: "
            f"try again in {self.retry_after_seconds} s"
        )
        self.graph_id = graph_id


class DatabaseReplaced(StorageUnavailable):
    """The database answers, and is not the one that this replica has opened: empty, or another one."""


class LeaseLost(RuntimeFault):
    """This replica no longer holds the run: its lease ran out, or the run was cancelled and deleted."""
