"""MCP (Model Context Protocol) over streamable HTTP: each assistant is a tool, and each call of it is a run.

Stateless: there are no sessions and no messages initiated by the server, so any replica can answer any
request. Sources: https://modelcontextprotocol.io/specification/2025-11-25 and …/2026-07-28
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response

from lgs_runtime.api.access import Parts
from lgs_runtime.api.callers import Caller, checks_authorization
from lgs_runtime.api.http.responses import JsonResponse
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
from lgs_runtime.api.protocols.mcp_calls import call_tool
from lgs_runtime.api.protocols.mcp_tools import named_tools, tool_json
from lgs_runtime.api.protocols.mcp_versions import (
    BY_HANDSHAKE,
    VERSIONS,
    Negotiated,
    is_per_request,
    negotiate,
    server_info,
)
from lgs_runtime.model import Assistant, Page
from lgs_runtime.services import Services
from lgs_runtime.storage.queries import AssistantQuery

routes = rpc_router("MCP")
MOST_TOOLS = 1000
TOOLS_OF_PAGE = 100
CAPABILITIES = {"tools": {"listChanged": False}}
JSON, EVENTS = "application/json", "text/event-stream"
ANSWERS: dict[int | str, dict[str, Any]] = {
    202: {"description": "A notification, which gets no answer."},
    406: {"model": RpcAnswer, "description": "The client takes neither JSON nor events."},
}


@routes.post("/mcp", include_in_schema=False)
@routes.post("/mcp/", response_model=RpcAnswer, responses=ANSWERS, openapi_extra=MESSAGE)
async def post(parts: Parts, request: Request) -> Response:
    """One JSON-RPC message: `server/discover` or `initialize`, `ping`, `tools/list`, `tools/call`."""
    # Whatever touches a user's resources checks permission itself.
    checks_authorization(request)
    accepted = request.headers.get("accept", "*/*")
    call_id, negotiated = None, Negotiated()
    try:
        if not any(kind in accepted for kind in (JSON, EVENTS, "*/*", "application/*")):
            error = RpcError(INVALID_REQUEST, f"Accept: {accepted!r}: must hold {JSON} or {EVENTS}")
            return JsonResponse(error_json(None, error), status_code=406)
        call = read(await request.json())
        if call is None or call.id is None:
            return Response(status_code=202)
        call_id, negotiated = call.id, Negotiated(per_request=is_per_request(call.params, request.headers))
        negotiated = negotiate(call, request.headers)
        if call.method == "tools/call":
            assistant = await _named(parts, request, call.params.get("name"))
            only_events = JSON not in accepted and EVENTS in accepted
            return await call_tool(parts, request, call, negotiated, assistant, as_events=only_events)
        return JsonResponse(result_json(call_id, await _answer(parts, request, call, negotiated)))
    except RpcError as wrong:
        return JsonResponse(error_json(call_id, wrong), status_code=negotiated.status(wrong))


@routes.get("/mcp", include_in_schema=False)
@routes.get("/mcp/", responses={405: {"description": "Always: messages are sent with POST."}})
async def get(request: Request) -> Response:
    """The server sends no messages of its own, so there is nothing to listen to."""
    checks_authorization(request)
    return Response(status_code=405, headers={"Allow": "POST"})


@routes.delete("/mcp", include_in_schema=False)
@routes.delete("/mcp/", responses={404: {"description": "Always: there are no sessions."}})
async def delete(request: Request) -> Response:
    """There are no sessions that could be ended."""
    checks_authorization(request)
    return Response(status_code=404)


async def _answer(services: Services, request: Request, call: Call, negotiated: Negotiated) -> Any:
    if call.method == "tools/list":
        return negotiated.result(await _list(services, request, call.params), cached=True)
    if negotiated.per_request and call.method == "server/discover":
        return negotiated.result(
            {"supportedVersions": list(VERSIONS), "capabilities": CAPABILITIES}, cached=True
        )
    if not negotiated.per_request and call.method == "initialize":
        return _initialized(call.params)
    if not negotiated.per_request and call.method == "ping":
        return {}
    raise RpcError(METHOD_NOT_FOUND, f"method: {call.method!r}: not found")


def _initialized(params: Mapping[str, Any]) -> dict[str, Any]:
    """The result of `initialize`. Its version is the one that the client asked for if `initialize` can agree
    on it, else the latest such version."""
    asked = params.get("protocolVersion")
    return {
        "protocolVersion": asked if asked in BY_HANDSHAKE else BY_HANDSHAKE[0],
        "capabilities": CAPABILITIES,
        "serverInfo": server_info(),
    }


async def _tools(services: Services, request: Request) -> dict[str, Assistant]:
    """The tools that the caller may see, by name."""
    scope = await Caller(request).assistants("search", {"metadata": {}, "limit": MOST_TOOLS, "offset": 0})
    page = Page(MOST_TOOLS, sort_by="created_at", sort_order="asc")
    return named_tools(await services.storage.assistants.search(AssistantQuery(page=page, scope=scope)))


async def _list(services: Services, request: Request, params: Mapping[str, Any]) -> dict[str, Any]:
    """A page of tools; the cursor is the number of tools before the page."""
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


async def _named(services: Services, request: Request, name: Any) -> Assistant:
    """The assistant behind the tool with this name. Raises `RpcError`."""
    assistant = (await _tools(services, request)).get(str(name))
    if assistant is None:
        raise RpcError(INVALID_PARAMS, "name: must be that of a tool of tools/list")
    return assistant
