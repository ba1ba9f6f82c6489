"""The application: every route over the open parts of one replica."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI

from lgs_runtime.api import assistants, crons, runs, state, stateless, store, system, threads
from lgs_runtime.api.cors import install_cors
from lgs_runtime.api.encoding import JsonResponse
from lgs_runtime.api.problems import install_problems
from lgs_runtime.api.security import describe_security
from lgs_runtime.services import Services


def create_app(services: Services) -> FastAPI:
    """The LangGraph Server API over `services`, which the caller opened and closes."""
    app = FastAPI(
        title="LangGraphService",
        summary="The LangGraph Server API with durable runs.",
        version=version("lgs-runtime"),
        default_response_class=JsonResponse,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    # Fixed paths before those with a parameter in the same place.
    for module in (system, assistants, crons, stateless, runs, state, threads, store):
        app.include_router(module.routes)
    install_problems(app)
    describe_security(app, services.gate, services.settings.auth_openapi)
    install_cors(app, services.settings.cors)
    return app
