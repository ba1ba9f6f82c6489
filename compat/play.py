"""The whole script, played at one server."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import httpx
from compat.applications import Application
from compat.catalogue import START
from compat.player import Answer, Player
from compat.script import agents, assistants, runs, shared, threads

HELLO = {"messages": [{"role": "user", "content": "hello"}]}


async def play(application: Application, address: str) -> list[Answer]:
    """The answers to everything that is asked of this application."""
    # No connection is kept: a server that fails in one request may close it under the next.
    options: dict[str, Any] = {
        "timeout": httpx.Timeout(60.0, connect=5.0),
        "limits": httpx.Limits(max_keepalive_connections=0),
    }
    async with httpx.AsyncClient(
        base_url=address, headers=application.headers, follow_redirects=True, **options
    ) as client:
        player = Player(client)
        graphs = await _graphs(application, player)
        first = request(application, graphs[0])
        await _part(player, "system", shared.system(player))
        await _part(player, "assistants", assistants.play(player, graphs))
        await _part(player, "store", shared.store(player))
        await _part(player, "crons", shared.crons(player, first))
        await _part(player, "MCP", agents.mcp(player, first))
        await _part(player, "A2A", agents.a2a(player, first))
        await _part(player, "routes", shared.routes(player, application.routes))
        for graph in graphs:
            player.prefix = graph
            plan = application.plays.get(graph, {})
            asked = request(application, graph)
            await _part(player, "threads", threads.play(player, asked, plan.get("resume", [])))
            await _part(player, "runs", runs.play(player, asked))
        return player.answers


async def _graphs(application: Application, player: Player) -> list[str]:
    """Those that the list names, else the first two there are; where nobody gets in, any."""
    found = await player.quiet("POST /assistants/search", {"limit": 100}) or []
    there = sorted({each["graph_id"] for each in found})
    return list(application.graphs) or there[:2] or list(application.plays) or ["agent"]


async def _part(player: Player, name: str, playing: Coroutine[Any, Any, None]) -> None:
    """A part of the script; a connection that breaks in it is an answer too, and the next part is played."""
    try:
        await playing
    except httpx.HTTPError as error:
        player.keep(START, f"{name} broke off", type(error).__name__)


def request(application: Application, graph: str) -> dict[str, Any]:
    """A run of the graph as the list says it; where it says nothing, a greeting."""
    plan = application.plays.get(graph, {})
    body: dict[str, Any] = {"assistant_id": graph, "input": plan.get("input", HELLO)}
    if "context" in plan:
        body["context"] = plan["context"]
    if "config" in plan:
        body["config"] = {"configurable": plan["config"]}
    return body
