"""The assistants as tools (MCP) and as agents (A2A)."""

from __future__ import annotations

from typing import Any

from compat.player import Player, address, decoded, kind, sse

A2A = "POST /a2a/{assistant_id}"
ACCEPT = {"accept": "application/json, text/event-stream"}


async def mcp(player: Player, request: dict[str, Any]) -> None:
    """A client's way through: initialise, list, call."""
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "compat", "version": "1"},
    }
    await _rpc(player, "POST /mcp/", ("initialize", hello))
    await _rpc(player, "POST /mcp/", ("tools/list", {}))
    unknown = {"name": "nosuchtool", "arguments": {}}
    call = {"name": request["assistant_id"], "arguments": request.get("input") or {}}
    await _rpc(player, "POST /mcp/", ("tools/call", call))
    await _rpc(player, "POST /mcp/", ("tools/call", unknown), variant="unknown tool")
    await _rpc(player, "POST /mcp/", ("nothing", {}), variant="unknown method")
    await player.call("GET /mcp/")
    await player.call("DELETE /mcp/")


async def a2a(player: Player, request: dict[str, Any]) -> None:
    """A message to the agent, and its card."""
    found = await player.quiet("POST /assistants/search", {"graph_id": request["assistant_id"]})
    if not found:
        return
    ident = found[-1]["assistant_id"]
    part = {"kind": "text", "text": "hello"}
    message = {"role": "user", "parts": [part], "messageId": "m1", "kind": "message"}
    await _rpc(player, A2A, ("message/send", {"message": message}), assistant_id=ident)
    unknown = {"id": ident, "contextId": ident}
    await _rpc(player, A2A, ("tasks/get", unknown), variant="unknown task", assistant_id=ident)
    card = await player.client.get("/.well-known/agent-card.json", params={"assistant_id": ident})
    player.keep(A2A, "card", {"status": card.status_code, "body": decoded(card)})


async def _rpc(
    player: Player, operation: str, call: tuple[str, dict[str, Any]], *, variant: str = "", **path: str
) -> None:
    """One JSON-RPC call (method, params), whose answer may come as JSON or as the one event of a stream."""
    verb, url = address(operation, path)
    body = {"jsonrpc": "2.0", "id": 1, "method": call[0], "params": call[1]}
    response = await player.client.request(verb, url, json=body, headers=ACCEPT)
    value = decoded(response)
    if kind(response) == "text/event-stream":
        value = [event[1] async for event in sse(response)][-1]
    result = (value or {}).get("result") if isinstance(value, dict) else None
    if isinstance(result, dict) and "tools" in result:
        result["tools"].sort(key=lambda each: each.get("name", ""))
    player.keep(operation, variant or call[0], {"status": response.status_code, "body": value})
