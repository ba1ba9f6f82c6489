"""The whole script, played at one server."""

from __future__ import annotations

from typing import Any

import httpx
from compat.applications import Application
from compat.player import Answer, Player
from compat.script import agents, assistants, runs, shared, threads

HELLO = {"messages": [{"role": "user", "content": "hello"}]}


async def play(application: Application, address: str) -> list[Answer]:
    """The answers to everything that is asked of this application."""
    timeout = httpx.Timeout(60.0, connect=5.0)
    async with httpx.AsyncClient(
        base_url=address, timeout=timeout, headers=application.headers, follow_redirects=True
    ) as client:
        player = Player(client)
        found = await player.quiet("POST /assistants/search", {"limit": 100}) or []
        graphs = list(application.graphs) or sorted({each["graph_id"] for each in found})[:3]
        if not graphs:
            graphs = list(application.plays) or ["agent"]
        await shared.system(player)
        await assistants.play(player, graphs)
        first = request(application, graphs[0])
        await shared.store(player)
        await shared.crons(player, first)
        await agents.mcp(player, first)
        await agents.a2a(player, first)
        await shared.routes(player, application.routes)
        for graph in graphs:
            player.prefix = graph
            asked = request(application, graph)
            await threads.play(player, asked, application.plays.get(graph, {}).get("resume", []))
            await runs.play(player, asked)
        return player.answers


def request(application: Application, graph: str) -> dict[str, Any]:
    """A run of the graph as the list says it; where it says nothing, a greeting."""
    told = application.plays.get(graph, {})
    body: dict[str, Any] = {"assistant_id": graph, "input": told.get("input", HELLO)}
    if "context" in told:
        body["context"] = told["context"]
    if "config" in told:
        body["config"] = {"configurable": told["config"]}
    return body
