"""Authorisation by the `@auth.on` handlers of the graphs' `langgraph_sdk.Auth` object.

The most specific handler decides: the one for resource and action, else for the resource, else for the
action, else the global one. Without a handler everything is permitted. A handler may change its `value`, and
returns nothing or true (permitted), false (403), or a filter, which the caller passes to the storage.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Literal
from uuid import UUID

import structlog
from langgraph_sdk import Auth

from lgs_runtime.auth.filters import BadFilter, parse_filter
from lgs_runtime.auth.users import User, refusal_of, seen_by_handlers
from lgs_runtime.checks import kind_of
from lgs_runtime.errors import Forbidden, HandlerFailed
from lgs_runtime.event_loop import RAISED, is_cancelled
from lgs_runtime.model import Scope

Resource = Literal["threads", "assistants", "crons", "store", "cache"]
Action = Literal[
    "create", "read", "update", "delete", "search", "create_run", "put", "get", "list_namespaces"
]
IDS = ("thread_id", "run_id", "assistant_id", "cron_id")
for_nobody: ContextVar[bool] = ContextVar("for_nobody", default=False)
"""Whether the caller is the service's own code, running for no user: it may do everything. Only
`api.loopback` sets this; no request from outside can."""
log = structlog.get_logger(__name__)


def has_handlers(auth: Auth) -> bool:
    """Whether there is any authorisation handler."""
    return bool(auth._handlers or auth._global_handlers)


async def authorize(
    auth: Auth, user: User | None, resource: Resource, action: Action, value: dict[str, Any]
) -> Scope | None:
    """The scope: which records the user may access with this action, None for all. `value` is the content of
    the request; the handler may change it.

    Raises `Forbidden`, `RefusedByHandler`, `HandlerFailed`.
    """
    handler = _handler(auth, resource, action)
    if handler is None or (user is None and for_nobody.get()):
        return None
    if user is None:
        raise Forbidden(f"{resource}.{action}: nobody is known to ask: must be done by a user")
    for name in IDS:
        if isinstance(value.get(name), str):
            value[name] = UUID(value[name])
    named: Any = resource
    context = Auth.types.AuthContext(
        permissions=list(user.permissions), user=seen_by_handlers(user), resource=named, action=action
    )
    try:
        answer = await handler(ctx=context, value=value)
    except AssertionError as wrong:
        raise Forbidden(str(wrong) or "Forbidden") from wrong
    # The handler is the user's code: it may raise anything, and nothing that it raises permits the action.
    except RAISED as wrong:
        if is_cancelled(wrong):
            raise
        raise refusal_of(wrong) or _failed(resource, action, wrong) from wrong
    try:
        return _scope(answer, resource, action)
    except BadFilter as wrong:
        raise _failed(resource, action, wrong) from wrong


async def authorize_shared(
    auth: Auth, user: User | None, resource: Resource, action: Action, value: dict[str, Any]
) -> None:
    """Like `authorize`, for a resource that all users share. If there are any handlers, one that names this
    very resource must permit the action: a global handler was not written with it in mind."""
    if not has_handlers(auth) or (user is None and for_nobody.get()):
        return
    if not ({(resource, action), (resource, "*")} & auth._handlers.keys()):
        raise Forbidden(
            f"{resource}.{action}: not permitted: all users share it; a handler under "
            f'@auth.on(resources="{resource}") may permit it'
        )
    if await authorize(auth, user, resource, action, value):
        raise Forbidden(f"{resource}.{action}: a filter can't be applied to what all users share")


def _failed(resource: str, action: str, raised: BaseException) -> HandlerFailed:
    log.error("auth.handler_failed", resource=resource, action=action, exc_info=raised)
    return HandlerFailed(
        f"the authorisation of {resource}.{action} failed; the log of this replica has the reason"
    )


def _handler(auth: Auth, resource: str, action: str) -> Any:
    for key in ((resource, action), (resource, "*"), ("*", action)):
        if handlers := auth._handlers.get(key):
            return handlers[-1]
    return auth._global_handlers[-1] if auth._global_handlers else None


def _scope(answer: Any, resource: str, action: str) -> Scope | None:
    if answer is None or answer is True:
        return None
    if answer is False:
        raise Forbidden(f"{resource}.{action}: not permitted")
    if not isinstance(answer, Mapping):
        raise BadFilter(f"the handler of {resource}.{action} returned {kind_of(answer)}")
    if resource == "store" and answer:
        # Items have no metadata to compare; ignoring the filter would show everything to everybody.
        raise Forbidden(
            "store: a filter can't be applied to items; the handler must put the user into "
            'value["namespace"] instead'
        )
    return parse_filter(answer)
