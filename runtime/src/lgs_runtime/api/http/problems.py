"""The HTTP status of each error; no other module decides it.

The body is `{"detail": message}`. Temporary errors carry `Retry-After` (whole seconds).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from lgs_runtime.api.http.responses import JsonResponse
from lgs_runtime.errors import (
    Conflict,
    Forbidden,
    GraphCircuitOpen,
    GraphElsewhere,
    InvalidRequest,
    LeaseLost,
    NotFound,
    ProviderFailed,
    QueueFull,
    RefusedByHandler,
    RuntimeFault,
    StorageUnavailable,
    Unauthenticated,
)
from lgs_runtime.logs import mark_logged

RETRY_AFTER_STORAGE_SECONDS = 2
SHOWN_CHARACTERS = 120
SHOWN_ERRORS = 5

STATUS: Mapping[type[RuntimeFault], HTTPStatus] = {
    InvalidRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    QueueFull: HTTPStatus.TOO_MANY_REQUESTS,
    ProviderFailed: HTTPStatus.BAD_GATEWAY,
    StorageUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    GraphCircuitOpen: HTTPStatus.SERVICE_UNAVAILABLE,
    GraphElsewhere: HTTPStatus.SERVICE_UNAVAILABLE,
    LeaseLost: HTTPStatus.CONFLICT,
}

log = structlog.get_logger(__name__)


class BodyTooLarge(InvalidRequest):
    """The body is longer than `LGS_MAX_BODY_BYTES` (413)."""

    def __init__(self, size: str, limit: int) -> None:
        super().__init__(
            f"body: {size} bytes: must be at most {limit} bytes; send less, or raise LGS_MAX_BODY_BYTES"
        )


class BrokenBody(InvalidRequest):
    """The body is not JSON at all (400)."""


def status_of(fault: RuntimeFault) -> int:
    """The HTTP status of one of our errors; 500 for an error that no client can cause."""
    if isinstance(fault, RefusedByHandler):
        return fault.status
    if isinstance(fault, BodyTooLarge):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    if isinstance(fault, BrokenBody):
        return HTTPStatus.BAD_REQUEST
    for kind in type(fault).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return HTTPStatus.INTERNAL_SERVER_ERROR


def headers_of(fault: RuntimeFault) -> dict[str, str]:
    """The headers of the answer to an error: `Retry-After` if the client should try again, or those that the
    auth handler gave."""
    if isinstance(fault, QueueFull | GraphCircuitOpen | GraphElsewhere):
        return {"Retry-After": str(max(1, fault.retry_after_seconds))}
    if isinstance(fault, RefusedByHandler):
        return dict(fault.headers)
    if isinstance(fault, StorageUnavailable):
        return {"Retry-After": str(RETRY_AFTER_STORAGE_SECONDS)}
    return {}


def describe_validation(errors: Iterable[Mapping[str, Any]]) -> str:
    """Pydantic's errors, the first `SHOWN_ERRORS` of them, in the form `name: value: rule`."""
    problems = []
    for error in errors:
        name = _name(error["loc"])
        rule = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "must be")
        line = f"{name}: must be given" if error["type"] == "missing" else f"{name}: {_shown(error)}: {rule}"
        problems.append(line)
    more = len(problems) - SHOWN_ERRORS
    return "; ".join(problems[:SHOWN_ERRORS]) + (f"; and {more} more" if more > 0 else "")


def _name(location: Sequence[Any]) -> str:
    """The path of a value inside its part of the request. The part (body, query, …) is left out: names don't
    clash."""
    inside = location[1:] if location and location[0] in ("body", "path", "query", "header") else location
    return ".".join(str(part) for part in inside) or "body"


def _shown(error: Mapping[str, Any]) -> str:
    text = repr(error.get("input"))
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error answer, in the one form that all of them have."""
    return JsonResponse({"detail": detail}, status_code=status, headers=dict(headers or {}))


def install_problems(app: FastAPI) -> None:
    """Makes `app` answer our errors, FastAPI's and unforeseen ones in the same form."""
    for kind, handler in problem_handlers().items():
        app.add_exception_handler(kind, handler)


def problem_handlers() -> dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]]:
    """The exception handler of each kind of error."""

    async def fault(_: Request, error: Exception) -> Response:
        assert isinstance(error, RuntimeFault)
        return problem(status_of(error), str(error), headers_of(error))

    async def validation(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, describe_validation(error.errors()))

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem(error.status_code, str(error.detail), error.headers)

    async def gone(request: Request, _: Exception) -> Response:
        log.info("request.left", method=request.method, path=request.url.path)
        return Response(status_code=HTTPStatus.BAD_REQUEST)

    async def unforeseen(request: Request, error: Exception) -> Response:
        log.error("request.failed", method=request.method, path=request.url.path, exc_info=error)
        mark_logged(error)
        return problem(
            HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the log of this replica has the reason"
        )

    return {
        RuntimeFault: fault,
        RequestValidationError: validation,
        HTTPException: http,
        # The client has gone: there is nobody to answer, and nothing has failed.
        ClientDisconnect: gone,
        Exception: unforeseen,
    }
