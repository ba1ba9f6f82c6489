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
    """Several configuration errors, each on a line of the message."""

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        """Identical tracebacks are shown once."""
        self.errors = [one for error in errors for one in getattr(error, "errors", [error])]
        shown = dict.fromkeys(error.shown for error in errors if error.shown)
        super().__init__("\n".join(map(str, errors)), shown="\n".join(shown))


class InvalidRequest(RuntimeFault):
    """The request can't be served as it stands (422)."""


class NotFound(RuntimeFault):
    """Something named in the request does not exist (404)."""

    def __init__(self, kind: str, name: str, hint: str = "") -> None:
        """`hint` says what exists instead."""
        super().__init__(f"{kind} {name!r} not found; {hint}" if hint else f"{kind} {name} not found")
        self.kind = kind
        self.name = name


class GraphElsewhere(NotFound):
    """Another replica has the graph but this one does not, as in a rollout (503 with `Retry-After`)."""

    def __init__(self, graph_id: str, retry_after_seconds: int = 2) -> None:
        super().__init__("graph", graph_id)
        self.args = (
            f"graph {graph_id!r}: another replica has it and this one does not, as in a rollout: "
            f"try again in {retry_after_seconds} s",
        )
        self.retry_after_seconds = retry_after_seconds


_Value = TypeVar("_Value")


def existing(found: _Value | None, kind: str, name: str) -> _Value:
    """`found`, unless it is None: then raises `NotFound` with the kind and the name that was searched for."""
    if found is None:
        raise NotFound(kind, name)
    return found


class Unauthenticated(RuntimeFault):
    """The caller is not authenticated: a key is missing or not valid (401)."""


class Forbidden(RuntimeFault):
    """The caller is authenticated, but may not do this (403)."""


class RefusedByHandler(RuntimeFault):
    """The graph's own authentication or authorisation refused the request, with a status of its choice."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str]) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers


class HandlerFailed(RuntimeFault):
    """A function of the application that decides for the service raised, or returned something invalid (500).
    Nothing was stored."""


class EncryptionFailed(HandlerFailed):
    """A handler of `encryption` raised, or returned something that can't be stored (500). The message names
    the model and the field, and contains nothing of their content."""


class ProviderFailed(RuntimeFault):
    """Something that the service calls for the application failed: its embedding provider, its own store, or
    graph code that a request waits for (502). The message contains the error's text."""


class AssistantChanged(RuntimeFault):
    """The assistant has changed since a run was made from it; nothing was stored. The caller reads the
    assistant again and makes the run anew, so no client sees this."""


class Conflict(RuntimeFault):
    """The request contradicts the present state, such as a run on a busy thread with strategy `reject`
    (409)."""


class QueueFull(RuntimeFault):
    """The queue of this priority is full; nothing was stored (429 with `Retry-After`)."""

    def __init__(self, priority: str, limit: int, retry_after_seconds: int) -> None:
        super().__init__(
            f"queue of priority {priority} is full: it may hold {limit} waiting runs; "
            f"try again in {retry_after_seconds} s"
        )
        self.priority = priority
        self.limit = limit
        self.retry_after_seconds = retry_after_seconds


class UserLimit(QueueFull):
    """This user has the most unfinished runs that a user may have; nothing was stored (429 with
    `Retry-After`)."""

    def __init__(self, priority: str, limit: int, retry_after_seconds: int) -> None:
        super().__init__(priority, limit, retry_after_seconds)
        self.args = (
            f"unfinished runs of the user: {limit}: must be at most {limit}; wait for one, or cancel one; "
            f"try again in {retry_after_seconds} s",
        )


class BudgetUsedUp(QueueFull):
    """A budget of the service or of this user is used up; nothing was stored (429; `Retry-After` says when
    enough of it is free again)."""

    def __init__(self, budget: str, most: float, retry_after_seconds: int) -> None:
        super().__init__("", 0, retry_after_seconds)
        self.args = (
            f"budget {budget} is used up: {most:.15g} may be spent; try again in {retry_after_seconds} s",
        )
        self.budget = budget


class RollbackAsked(RuntimeFault):
    """A rollback of a run was requested before its end could be stored: its checkpoints must be deleted
    first. No client sees this."""


class StorageUnavailable(RuntimeFault):
    """The database can't be reached at present (503 with `Retry-After`). Nothing was acknowledged."""


class CacheNotCleared(StorageUnavailable):
    """Redis, or one of its nodes, did not delete entries that were to be cleared (503 with `Retry-After`)."""


class GraphCircuitOpen(RuntimeFault):
    """Too many recent runs of a graph have failed, so no new ones are accepted for now; nothing was stored
    (503 with `Retry-After`)."""

    def __init__(self, graph_id: str, retry_after_seconds: float) -> None:
        self.retry_after_seconds = max(1, ceil(retry_after_seconds))
        super().__init__(
            f"graph {graph_id!r}: too many of its runs have failed; its circuit breaker is open: "
            f"try again in {self.retry_after_seconds} s"
        )
        self.graph_id = graph_id


class DatabaseReplaced(StorageUnavailable):
    """The database answers, but is not the one that this replica opened: it is empty or a different one."""


class LeaseLost(RuntimeFault):
    """This replica no longer holds the run: its lease ran out, or the run was cancelled and deleted."""
