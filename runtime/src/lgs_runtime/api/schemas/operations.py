"""For the OpenAPI description: the error answers of operations, and the headers that they read."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.responses import Response

from lgs_runtime.api.schemas.shapes import Problem

MEANING = {
    400: "The body is not JSON in UTF-8.",
    401: "Who asks is not known.",
    403: "Who asks may not do this.",
    404: "Something named in the request does not exist.",
    409: "The request contradicts what is there.",
    413: "The body is longer than LGS_MAX_BODY_BYTES.",
    422: "A field is wrong: its name, its value and the rule.",
    429: "The queue of this priority is full; nothing was stored. Retry-After says when to come back.",
    502: "What the application has the service ask failed, such as its embedding provider or the code of a "
    "graph; its words.",
    503: "The database can't be reached, the graph's circuit breaker is open, or another replica has the "
    "graph, as in a rollout; nothing was acknowledged. Retry-After says when to come back.",
}
EVERYWHERE = (400, 404, 413, 422, 503)
GUARDED = (401, 403)
PRIORITY: dict[str, Any] = {
    "parameters": [
        {
            "in": "header",
            "name": "X-LGS-Priority",
            "description": "the run's priority; wins over `priority` in the configuration and the metadata",
            "schema": {"type": "string", "enum": ["high", "normal", "low"]},
        }
    ]
}
"""The priority header, for operations that create runs."""
LAST_EVENT_ID: dict[str, Any] = {
    "parameters": [
        {
            "in": "header",
            "name": "Last-Event-ID",
            "description": "the id of the last event that the client has; -1: everything that is kept",
            "schema": {"type": "string"},
        }
    ]
}
"""The header of operations whose stream may have begun before."""


class EventStream(Response):
    """Server-sent events."""

    media_type = "text/event-stream"


class PlainText(Response):
    """Text for people or Prometheus."""

    media_type = "text/plain"


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error statuses of an operation, described with their meaning. Errors are JSON even where the answer
    is a stream. They only refer to the schema that `describe_refusals` adds: FastAPI would make a validator
    for each model of each route at import, a third of a replica's start time."""
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
    return {status: {"content": content, "description": MEANING[status]} for status in statuses}


def describe_refusals(app: FastAPI) -> None:
    """Adds the schema of an error answer to the description at `/openapi.json`."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        document = describe()
        forms = document.setdefault("components", {}).setdefault("schemas", {})
        forms.setdefault(Problem.__name__, Problem.model_json_schema())
        return document

    app.openapi = described  # type: ignore[method-assign]
