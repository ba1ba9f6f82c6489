"""JSON-RPC 2.0 over HTTP, as MCP and A2A use it: one message per request, errors in the form of JSON-RPC.

Where other routes refuse with a status and a `detail`, these refuse with the same status and a JSON-RPC
error, so that both kinds of client understand it. Failed authentication or authorisation is answered as on
all routes.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from lgs_runtime.api.access import Route, router
from lgs_runtime.api.http.problems import BrokenBody, headers_of, status_of
from lgs_runtime.api.http.responses import JsonResponse
from lgs_runtime.api.schemas import operations
from lgs_runtime.errors import (
    Forbidden,
    HandlerFailed,
    InvalidRequest,
    NotFound,
    RefusedByHandler,
    RuntimeFault,
    Unauthenticated,
)

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
SERVER_ERROR = -32000
"""The code of errors of the service itself, such as a full queue or an unavailable database."""


class RpcError(Exception):
    """An error that is answered inside JSON-RPC, with HTTP status 200 unless the protocol says otherwise."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


@dataclass(frozen=True, slots=True)
class Call:
    """A request. `id` None: a notification, which gets no answer."""

    method: str
    params: Mapping[str, Any]
    id: str | int | None


def read(message: Any) -> Call | None:
    """The call in a body; None if the body is a response of the client. Raises `RpcError`."""
    if not isinstance(message, Mapping) or message.get("jsonrpc") != "2.0":
        raise RpcError(
            INVALID_REQUEST, "body: must be one JSON-RPC 2.0 message, an object with jsonrpc '2.0'"
        )
    call_id, method = message.get("id"), message.get("method")
    if isinstance(call_id, bool) or not isinstance(call_id, str | int | None):
        raise RpcError(INVALID_REQUEST, f"id: {call_id!r}: must be a text or a whole number")
    if method is None and ("result" in message or "error" in message):
        return None
    if not isinstance(method, str):
        raise RpcError(INVALID_REQUEST, f"method: {method!r}: must be a text")
    params = message.get("params")
    if params is not None and not isinstance(params, Mapping):
        raise RpcError(INVALID_PARAMS, "params: must be an object")
    return Call(method, params or {}, call_id)


def result_json(call_id: Any, result: Any) -> dict[str, Any]:
    """The answer to a call."""
    return {"jsonrpc": "2.0", "id": call_id, "result": result}


def error_json(call_id: Any, error: RpcError) -> dict[str, Any]:
    """The answer to a call that failed."""
    data = {} if error.data is None else {"data": error.data}
    return {"jsonrpc": "2.0", "id": call_id, "error": {"code": error.code, "message": str(error), **data}}


def as_rpc_error(fault: RuntimeFault) -> RpcError:
    """The JSON-RPC error for an error of the service."""
    if isinstance(fault, BrokenBody):
        return RpcError(PARSE_ERROR, str(fault))
    if isinstance(fault, InvalidRequest | NotFound):
        return RpcError(INVALID_PARAMS, str(fault))
    return RpcError(SERVER_ERROR, str(fault))


class RpcRoute(Route):
    """A route that answers errors in the form of JSON-RPC."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler behind access control and the limits."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await handle(request)
            except (Unauthenticated, Forbidden, RefusedByHandler, HandlerFailed):
                raise
            except RuntimeFault as fault:
                said = error_json(None, as_rpc_error(fault))
                return JsonResponse(said, status_code=status_of(fault), headers=headers_of(fault))

        return handler


class RpcAnswer(BaseModel):
    """What a JSON-RPC request is answered with: a result or an error."""

    jsonrpc: Literal["2.0"] = "2.0"
    id: str | int | None = None
    result: Any = None
    error: dict[str, Any] | None = None


MESSAGE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "jsonrpc": {"type": "string", "enum": ["2.0"]},
                        "id": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                        "method": {"type": "string"},
                        "params": {"type": "object"},
                    },
                    "required": ["jsonrpc", "method"],
                }
            }
        },
    }
}
"""The request body of a JSON-RPC route, for the OpenAPI description."""


def rpc_router(tag: str) -> APIRouter:
    """A router for JSON-RPC routes."""
    refusals = dict(operations.refusals(*operations.GUARDED))
    for status in (400, 404, 409, 413, 422, 429, 503):
        refusals[status] = {"model": RpcAnswer, "description": operations.MEANING[status]}
    return router(tag, route_class=RpcRoute, responses=refusals)
