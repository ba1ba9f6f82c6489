"""Whether a user may create a run: checked wherever one is created, for requests, batches and crons.

The handler of `threads.create_run` decides, and its filter says on which threads. It may change the run's
metadata and `kwargs`, and with them its priority if no header gave one. The user must also be allowed to read
the assistant, unless it is a graph's default assistant, which everybody may use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lgs_runtime.auth.access_control import AccessControl
from lgs_runtime.auth.users import User
from lgs_runtime.errors import Forbidden
from lgs_runtime.graphs.registry import SYSTEM_METADATA
from lgs_runtime.model import Scope
from lgs_runtime.runs.requests import RunRequest, priority_of
from lgs_runtime.storage.scope import made_within, widened

KWARGS = ("input", "command", "config", "context", "webhook")
"""The fields of a run that a handler may change besides its metadata."""


async def permitted(access: AccessControl, request: RunRequest, assistant_id: str) -> RunRequest:
    """The request for a run of this assistant, as the handler left it. Raises `Forbidden`,
    `RefusedByHandler`, `HandlerFailed`."""
    if not access.decides:
        return request
    value = _value(request, assistant_id)
    scope = await access.authorize(_user(request.user), "threads", "create_run", value)
    metadata, kwargs = _changed(value, "metadata"), _changed(value, "kwargs")
    changes = {name: kwargs[name] for name in KWARGS if name in kwargs}
    changed = replace(request, metadata=metadata, scope=scope, **changes)
    if not request.priority_given:
        changed = replace(changed, priority=priority_of(None, changed.config, changed.metadata))
    if request.thread_id is not None and not request.create_thread:
        return changed
    try:
        return replace(changed, created_metadata=made_within(scope, metadata))
    except Forbidden:
        if request.thread_id is None:
            raise
        # The user may not create the thread, but the thread may exist.
        return replace(changed, create_thread=False)


async def readable_assistants(
    access: AccessControl, user: Mapping[str, Any] | None, assistant_id: str
) -> Scope | None:
    """The scope of assistants that a user may run; asked for any assistant that is not a graph's default
    one."""
    scope = await access.authorize(
        _user(user), "assistants", "read", {"assistant_id": assistant_id, "metadata": {}}
    )
    return widened(scope, SYSTEM_METADATA)


def _user(fields: Mapping[str, Any] | None) -> User | None:
    return None if fields is None else User(fields)


def _value(request: RunRequest, assistant_id: str) -> dict[str, Any]:
    """As `langgraph_sdk.auth.types.RunsCreate`."""
    return {
        "assistant_id": assistant_id,
        "thread_id": request.thread_id,
        "run_id": None,
        "status": "pending",
        "metadata": dict(request.metadata),
        "prevent_insert_if_inflight": request.multitask_strategy == "reject",
        "multitask_strategy": request.multitask_strategy,
        "if_not_exists": "create" if request.create_thread else "reject",
        "after_seconds": request.delay_seconds,
        "kwargs": {name: getattr(request, name) for name in KWARGS},
    }


def _changed(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return dict(found) if isinstance(found, Mapping) else {}
