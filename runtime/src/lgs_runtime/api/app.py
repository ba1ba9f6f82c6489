"""The ASGI application: every route over the open parts of one replica, and the service's own application
(`http.app`) beside them.

Layers from the outside in: metrics and log of requests (`http/observed.py`), the probes and the prefix
(`http/root_router.py`), the service's own application with its middleware (`custom/`), CORS (`http/cors.py`),
our routes.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from lgs_runtime.api.custom.application import CustomApp, join
from lgs_runtime.api.http.cors import cors_middleware
from lgs_runtime.api.http.last_answers import LastAnswers
from lgs_runtime.api.http.observed import ObservedRequests
from lgs_runtime.api.http.problems import install_problems
from lgs_runtime.api.http.root_router import RootRouter
from lgs_runtime.api.http.route_index import RouteIndex
from lgs_runtime.api.http.trace_context import TraceContext
from lgs_runtime.api.protocols import a2a, mcp
from lgs_runtime.api.protocols import stream_v2 as v2
from lgs_runtime.api.resources import (
    archives,
    assistants,
    audit,
    cache,
    crons,
    runs,
    state,
    stateless,
    store,
    system,
    threads,
    users,
    versions,
)
from lgs_runtime.api.schemas.operations import describe_refusals
from lgs_runtime.api.schemas.security import describe_security
from lgs_runtime.graphs.http_section import Group
from lgs_runtime.services import Services

ROUTES: tuple[tuple[Group | None, APIRouter], ...] = (
    (None, system.probes),
    ("meta", system.routes),
    ("meta", cache.routes),
    ("assistants", assistants.routes),
    ("runs", crons.routes),
    ("runs", stateless.routes),
    ("runs", runs.routes),
    ("runs", v2.routes),
    ("runs", users.routes),
    ("threads", state.routes),
    ("threads", versions.routes),
    ("threads", audit.routes),
    ("threads", archives.routes),
    ("threads", archives.streamed),
    ("threads", threads.routes),
    ("store", store.routes),
    ("mcp", mcp.routes),
    ("a2a", a2a.routes),
    ("a2a", a2a.cards),
)
"""Every router with its group, which `http.disable_…` turns off (None: always on). Fixed paths come before
paths with a parameter in the same place."""


def create_app(services: Services, custom: CustomApp | None = None) -> ASGIApp:
    """The LangGraph Server API over `services`, which the caller opened and closes, with the service's own
    application if it has one."""
    http = services.settings.http
    core = _core(services)
    cors = cors_middleware(http.cors, private_network=services.settings.not_a_laptop is None)
    plain = cors.cls(core, *cors.args, **cors.kwargs)
    whole = plain if custom is None else join(core, custom, services)
    app: ASGIApp = RootRouter(whole, plain, http.mount_prefix)
    if services.tracing is not None:
        app = TraceContext(app, services.tracing)
    return ObservedRequests(LastAnswers(app), services.metrics.requests, http.logging_headers)


def _core(services: Services) -> FastAPI:
    disabled = services.settings.http.disabled
    described = "meta" not in disabled
    # FastAPI's own spans, for each request and each step, would be most of what is sent and half of the cost.
    own_spans: dict[str, Any] = {} if services.tracing is None else {"telemetry": {"tracing": False}}
    app = FastAPI(
        title="LangGraphService",
        summary="The LangGraph Server API with durable runs.",
        version=version("lgs-runtime"),
        openapi_url="/openapi.json" if described else None,
        docs_url=None,  # `system.docs`
        redoc_url=None,
        redirect_slashes=False,
        **own_spans,
    )
    app.state.services = services
    routes = app.router.routes
    # Routes are complete by themselves (`access.router`), so they are added without `include_router`: one
    # level to search, and the same objects that the index has.
    routes += [route for group, router in ROUTES if group not in disabled for route in router.routes]
    routes.insert(0, RouteIndex(routes))
    install_problems(app)
    describe_refusals(app)
    describe_security(app, services.access, services.settings.auth_openapi)
    return app
