"""MCP (Model Context Protocol) over streamable HTTP: each assistant is a tool, and a call of it is a run
without a thread.

Stateless: no sessions and no messages of the server's own, so that any replica answers any request. Source:
https://modelcontextprotocol.io/specification/2025-11-25
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from functools import partial
from importlib.metadata import version
from typing import Any

from fastapi import Request, Response

from lgs_runtime.api.access import Parts
from lgs_runtime.api.callers import Caller, will_be_asked
from lgs_runtime.api.http.awaited import AwaitedJson
from lgs_runtime.api.http.responses import JsonResponse
from lgs_runtime.api.http.sse import encode_event, event_stream
from lgs_runtime.api.protocols.jsonrpc import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    MESSAGE,
    METHOD_NOT_FOUND,
    Call,
    RpcAnswer,
    RpcError,
    error_json,
    read,
    result_json,
    rpc_router,
)
from lgs_runtime.api.protocols.mcp_tools import INPUT, call_result, named_tools, takes_object, tool_json
from lgs_runtime.api.resources.requests import run_request
from lgs_runtime.api.schemas import bodies
from lgs_runtime.model import Assistant, Page, Run
from lgs_runtime.runs.admission import admit
from lgs_runtime.runs.following import result
from lgs_runtime.services import Services
from lgs_runtime.streams.encoding import encode
from lgs_runtime.streams.events import StreamEvent

routes = rpc_router("MCP")
VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Those that are spoken, latest first."""
VERSION_HEADER = "mcp-protocol-version"
MOST_TOOLS = 1000
TOOLS_OF_PAGE = 100
JSON, EVENTS = "application/json", "text/event-stream"
ANSWERS: dict[int | str, dict[str, Any]] = {
    202: {"description": "A notification, which gets no answer."},
    406: {"model": RpcAnswer, "description": "The client takes neither JSON nor events."},
}


@routes.post("/mcp", include_in_schema=False)
@routes.post("/mcp/", response_model=RpcAnswer, responses=ANSWERS, openapi_extra=MESSAGE)
async def post(parts: Parts, request: Request) -> Response:
    """One JSON-RPC message: `initialize`, `ping`, `tools/list` or `tools/call`."""
    # What is of anybody asks for it by itself.
    will_be_asked(request)
    accepted = request.headers.get("accept", "*/*")
    call_id = None
    try:
        if not any(kind in accepted for kind in (JSON, EVENTS, "*/*", "application/*")):
            error = RpcError(INVALID_REQUEST, f"Accept: {accepted!r}: must hold {JSON} or {EVENTS}")
            return JsonResponse(error_json(None, error), status_code=406)
        call = read(await request.json())
        if call is None or call.id is None:
            return Response(status_code=202)
        call_id = call.id
        spoken = request.headers.get(VERSION_HEADER)
        if spoken is not None and spoken not in VERSIONS:
            error = RpcError(INVALID_REQUEST, f"{VERSION_HEADER}: {spoken!r}: must be one of {VERSIONS}")
            return JsonResponse(error_json(call_id, error), status_code=400)
        if call.method == "tools/call":
            return await _call(parts, request, call, as_events=JSON not in accepted and EVENTS in accepted)
        return JsonResponse(result_json(call_id, await _answer(parts, request, call)))
    except RpcError as wrong:
        return JsonResponse(error_json(call_id, wrong))


@routes.get("/mcp", include_in_schema=False)
@routes.get("/mcp/", responses={405: {"description": "Always: messages are sent with POST."}})
async def get(request: Request) -> Response:
    """The server sends no messages of its own, so there is nothing to listen to."""
    will_be_asked(request)
    return Response(status_code=405, headers={"Allow": "POST"})


@routes.delete("/mcp", include_in_schema=False)
@routes.delete("/mcp/", responses={404: {"description": "Always: there are no sessions."}})
async def delete(request: Request) -> Response:
    """There are no sessions that could be ended."""
    will_be_asked(request)
    return Response(status_code=404)


async def _answer(services: Services, request: Request, call: Call) -> Any:
    if call.method == "initialize":
        return _initialized(call.params)
    if call.method == "ping":
        return {}
    if call.method == "tools/list":
        return await _list(services, request, call.params)
    raise RpcError(METHOD_NOT_FOUND, f"method: {call.method!r}: not found")


def _initialized(params: Mapping[str, Any]) -> dict[str, Any]:
    """The version that the client asked for when it is spoken, else the latest that is."""
    asked = params.get("protocolVersion")
    return {
        "protocolVersion": asked if asked in VERSIONS else VERSIONS[0],
        "capabilities": {"tools": {"listChanged": False}},
        "serverInfo": {"name": "LangGraphService", "version": version("lgs-runtime")},
    }


async def _tools(services: Services, request: Request) -> dict[str, Assistant]:
    """Those that the caller may see."""
    scope = await Caller(request).assistants("search", {"metadata": {}, "limit": MOST_TOOLS, "offset": 0})
    page = Page(MOST_TOOLS, sort_by="created_at", sort_order="asc")
    return named_tools(await services.storage.assistants(page, scope=scope))


async def _list(services: Services, request: Request, params: Mapping[str, Any]) -> dict[str, Any]:
    """A page of tools; the cursor is the number of those before it."""
    cursor = str(params.get("cursor") or 0)
    if not cursor.isdecimal():
        raise RpcError(INVALID_PARAMS, f"cursor: {cursor!r}: must be a nextCursor of this server")
    begin, end = int(cursor), int(cursor) + TOOLS_OF_PAGE
    named = await _tools(services, request)
    tools = [one for one in named.items() if one[1].graph_id in services.graphs.ids]
    shown = [
        tool_json(name, assistant, (await services.graphs.schemas(assistant.graph_id))["input_schema"])
        for name, assistant in tools[begin:end]
    ]
    return {"tools": shown, **({"nextCursor": str(end)} if end < len(tools) else {})}


async def _call(services: Services, request: Request, call: Call, *, as_events: bool) -> Response:
    arguments = call.params.get("arguments")
    assistant = (await _tools(services, request)).get(str(call.params.get("name")))
    if assistant is None:
        raise RpcError(INVALID_PARAMS, "name: must be that of a tool of tools/list")
    if arguments is not None and not isinstance(arguments, Mapping):
        raise RpcError(INVALID_PARAMS, f"arguments: {arguments!r}: must be an object")
    schemas = await services.graphs.schemas(assistant.graph_id)
    given = arguments or {}
    graph_input = given if takes_object(schemas["input_schema"]) else given.get(INPUT)
    asked = {"assistant_id": assistant.assistant_id, "input": graph_input}
    body = bodies.checked(bodies.RunCreateStateless, asked)
    run = await admit(services, run_request(request, body, None))
    if as_events:
        return event_stream(_event(services, run, call.id), {})
    return AwaitedJson(partial(_message, services, run, call.id), {})


async def _message(services: Services, run: Run, call_id: Any) -> bytes:
    return encode(result_json(call_id, call_result(await result(services, run))))


async def _event(services: Services, run: Run, call_id: Any) -> AsyncGenerator[bytes, None]:
    yield encode_event(StreamEvent("", "message", await _message(services, run, call_id)))
