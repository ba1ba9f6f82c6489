"""The service's own application (`http.app`): a Starlette or FastAPI application served together with ours.

Its routes stand beside the API and win where both match, except for the probes and the OpenAPI pages.
Its middleware sees every request but the probes, its exception handlers answer our errors too, its lifespan
begins before the first run and ends after the last, and the description of a FastAPI application is merged
into `/openapi.json`. The application itself is not changed.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass, field
from typing import Any, cast

import structlog
from fastapi import FastAPI, Request, Response
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.routing import Match, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from lgs_runtime.api.custom.description import joined_description
from lgs_runtime.api.custom.guard import Guard
from lgs_runtime.api.http.cors import cors_middleware
from lgs_runtime.api.http.problems import problem_handlers
from lgs_runtime.checks import kind_of
from lgs_runtime.errors import ConfigError, RuntimeFault
from lgs_runtime.event_loop import RAISED, is_cancelled
from lgs_runtime.graphs.importing import variable_in
from lgs_runtime.services import Services
from lgs_runtime.settings import Settings
from lgs_runtime.tracebacks import summary, user_traceback

OURS = frozenset({"/ok", "/ready", "/metrics", "/docs", "/docs/oauth2-redirect", "/openapi.json"})
"""Paths that the application can't take over, and can't serve itself even if `disable_meta` turns ours
off."""
PUBLIC = OURS | {"/", "/info"}
"""Our paths that answer everybody, without authentication."""
FRAMEWORK_HANDLERS = "fastapi.exception_handlers"
REPORTED = "lgs.error_reported"
Handler = Callable[[Request, Exception], Response | Awaitable[Response]]
log = structlog.get_logger(__name__)


class AppFailed(RuntimeFault):
    """The application's lifespan raised at its start: the replica ends with exit code 1."""

    def __init__(self, where: str, raised: BaseException) -> None:
        super().__init__(f"{where}: its lifespan raised {summary(raised)}")
        self.shown = user_traceback(raised)


@dataclass(frozen=True, slots=True)
class CustomApp:
    """The application with its lifespan begun."""

    app: Starlette
    state: Mapping[str, Any] = field(default_factory=dict)
    """What its lifespan yielded: the initial content of `request.state`."""


@asynccontextmanager
async def open_custom_app(settings: Settings) -> AsyncIterator[CustomApp | None]:
    """The application named in the settings, its lifespan open as long as the context; None if none is named.

    Raises `ConfigError`, `AppFailed`.
    """
    if settings.http.app is None:
        yield None
        return
    where = f"http.app: {settings.http.app}"
    app = load_custom_app(settings, where)
    life = app.router.lifespan_context(app)
    try:
        state = await life.__aenter__()
    # The application is the user's code: it may raise anything, and all of it is reported.
    except RAISED as raised:
        if is_cancelled(raised):
            raise
        raise AppFailed(where, raised) from raised
    try:
        yield CustomApp(app, cast(Mapping[str, Any], state or {}))
    finally:
        try:
            await life.__aexit__(None, None, None)
        # A failure of the application must not keep this replica from closing its own parts.
        except RAISED as raised:
            if is_cancelled(raised):
                raise
            log.exception("app.lifespan_failed", app=settings.http.app)


def load_custom_app(settings: Settings, where: str) -> Starlette:
    """Imports the application. Raises `ConfigError`."""
    assert settings.http.app is not None
    found = variable_in(settings.http.app, settings.source, where)
    if not isinstance(found, Starlette):
        raise ConfigError(f"{where}: {kind_of(found)}: must be a Starlette or FastAPI application")
    return found


def join(core: FastAPI, custom: CustomApp, services: Services) -> ASGIApp:
    """The service's own application with ours behind it.

    Its middleware wraps everything. With `auth_first`, access control wraps that middleware; otherwise it
    wraps our routes and, if `auth_on_custom_routes` is set, the application's own.
    """
    http = services.settings.http
    shared = _Shared(custom.app.router, core)

    def guards(scope: Scope) -> bool:
        if not shared.is_ours(scope):
            return http.auth_on_custom_routes
        return _path(scope) not in PUBLIC

    own = custom.app.exception_handlers
    for kind, handler in own.items():
        if getattr(handler, "__module__", "") != FRAMEWORK_HANDLERS:
            core.add_exception_handler(kind, _for(custom.app, cast(Handler, handler)))
    _describe_both(core, custom.app)
    joined = copy(custom.app)
    cors = cors_middleware(http.cors, private_network=services.settings.not_a_laptop is None)
    own_middleware = custom.app.user_middleware
    guarded = http.auth_on_custom_routes or http.auth_first
    guard = [Middleware(Guard, services, guards)] if guarded and services.access.closed else []
    inner = [cors, *guard, *own_middleware] if http.auth_first else [*own_middleware, cors, *guard]
    joined.router = cast(Router, shared)
    joined.user_middleware = [Middleware(_As, custom), *inner]
    joined.exception_handlers = {
        kind: _for(custom.app, handler) for kind, handler in {**problem_handlers(), **own}.items()
    }
    joined.middleware_stack = None
    return joined


def _describe_both(core: FastAPI, app: Starlette) -> None:
    if not isinstance(app, FastAPI) or app.openapi_url is None:
        return
    ours, theirs = core.openapi, app.openapi
    core.openapi = lambda: joined_description(ours(), theirs())  # type: ignore[method-assign]


def _for(app: Starlette, handler: Handler) -> Handler:
    """Wraps an exception handler: it finds its own application in the request, and is called once for an
    error that passes through both applications."""
    is_async = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004 - whether calling it gives something to await
    )

    async def handle(request: Request, error: Exception) -> Response:
        if request.scope.get(REPORTED) is error:
            return Response(status_code=500)
        request.scope[REPORTED] = error
        request.scope["app"] = app
        if is_async:
            return await cast(Callable[..., Awaitable[Response]], handler)(request, error)
        return await run_in_threadpool(cast(Callable[..., Response], handler), request, error)

    return handle


class _As:
    """Middleware that puts the application itself and the state of its lifespan into each request's scope."""

    def __init__(self, app: ASGIApp, custom: CustomApp) -> None:
        self._app = app
        self._custom = custom

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self._custom.app
        scope["state"] = {**scope.get("state", {}), **self._custom.state}
        await self._app(scope, receive, send)


class _Shared:
    """Gives each request to the router that has its route: the application's first, then ours."""

    def __init__(self, theirs: Router, core: FastAPI) -> None:
        self._theirs = theirs
        self._core = core

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        chosen: ASGIApp = self._core if self.is_ours(scope) else self._theirs
        await chosen(scope, receive, send)

    def is_ours(self, scope: Scope) -> bool:
        """Whether our routes answer this request."""
        if _path(scope) in OURS:
            return True
        theirs = _match(self._theirs, scope)
        if theirs is Match.FULL:
            return False
        ours = _match(self._core.router, scope)
        return ours is Match.FULL or (ours is Match.PARTIAL and theirs is Match.NONE)


def _path(scope: Scope) -> str:
    """The path below the prefix."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _match(router: Router, scope: Scope) -> Match:
    """The best match of a router for a request: path and method, path only, or none."""
    best = Match.NONE
    for route in router.routes:
        match, _ = route.matches(scope)
        if match is Match.FULL:
            return match
        best = match if match is Match.PARTIAL else best
    return best
