"""The API's own description: complete, and what the operations do. It is what generated clients and `/docs`
are made of."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from api_replicas import Replica

OPERATIONS = [
    "POST /assistants",
    "POST /assistants/search",
    "POST /assistants/count",
    "GET /assistants/{assistant_id}",
    "DELETE /assistants/{assistant_id}",
    "PATCH /assistants/{assistant_id}",
    "GET /assistants/{assistant_id}/graph",
    "GET /assistants/{assistant_id}/subgraphs",
    "GET /assistants/{assistant_id}/subgraphs/{namespace}",
    "GET /assistants/{assistant_id}/schemas",
    "POST /assistants/{assistant_id}/versions",
    "POST /assistants/{assistant_id}/latest",
    "POST /threads",
    "POST /threads/search",
    "POST /threads/count",
    "POST /threads/prune",
    "GET /threads/{thread_id}/storage",
    "GET /threads/{thread_id}/state",
    "POST /threads/{thread_id}/state",
    "GET /threads/{thread_id}/state/{checkpoint_id}",
    "POST /threads/{thread_id}/state/checkpoint",
    "GET /threads/{thread_id}/history",
    "POST /threads/{thread_id}/history",
    "POST /threads/{thread_id}/copy",
    "GET /threads/{thread_id}",
    "DELETE /threads/{thread_id}",
    "PATCH /threads/{thread_id}",
    "GET /threads/{thread_id}/stream",
    "POST /threads/{thread_id}/stream/events",
    "POST /threads/{thread_id}/commands",
    "GET /threads/{thread_id}/runs",
    "POST /threads/{thread_id}/runs",
    "POST /threads/{thread_id}/runs/stream",
    "POST /threads/{thread_id}/runs/wait",
    "GET /threads/{thread_id}/runs/{run_id}",
    "DELETE /threads/{thread_id}/runs/{run_id}",
    "GET /threads/{thread_id}/runs/{run_id}/join",
    "GET /threads/{thread_id}/runs/{run_id}/stream",
    "POST /threads/{thread_id}/runs/{run_id}/cancel",
    "POST /runs/cancel",
    "POST /threads/{thread_id}/runs/crons",
    "POST /runs/crons",
    "POST /runs/crons/search",
    "POST /runs/crons/count",
    "GET /runs/crons/{cron_id}",
    "PATCH /runs/crons/{cron_id}",
    "DELETE /runs/crons/{cron_id}",
    "POST /runs/stream",
    "POST /runs/wait",
    "POST /runs",
    "POST /runs/batch",
    "PUT /store/items",
    "DELETE /store/items",
    "GET /store/items",
    "POST /store/items/search",
    "POST /store/namespaces",
    "POST /a2a/{assistant_id}",
    "POST /mcp/",
    "GET /mcp/",
    "DELETE /mcp/",
    "GET /info",
    "GET /metrics",
    "GET /docs",
    "GET /ok",
]
"""What a LangGraph server offers (SDK 0.4, server 0.16)."""
AWAITED = frozenset(
    {
        "GET /mcp/",
    }
)
"""MCP wants 405 of a server that sends no messages of its own."""


@pytest.fixture
async def description(url: str) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=url) as http:
        return dict((await http.get("/openapi.json")).json())


def operations(description: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    }


async def test_every_operation_of_a_langgraph_server_is_served(replica: Replica) -> None:
    unserved = set()
    async with httpx.AsyncClient(base_url=replica.url) as http:
        for name in OPERATIONS:
            method, path = name.split(" ")
            answer = await http.request(method, path.replace("{", "").replace("}", ""))
            if answer.status_code == 405 or (answer.status_code == 404 and "Not Found" in answer.text):
                unserved.add(name)

    assert unserved <= AWAITED


async def test_every_operation_says_what_it_takes_and_gives(description: dict[str, Any]) -> None:
    ids = [operation["operationId"] for operation in operations(description).values()]

    assert len(ids) == len(set(ids))
    for name, operation in operations(description).items():
        assert operation["description"] and operation["tags"], name
        assert any(status.startswith("2") for status in operation["responses"]), name
        for status, answer in operation["responses"].items():
            for media, content in answer.get("content", {}).items():
                assert media != "application/json" or "schema" in content, (name, status)
        for status in ("404", "422", "503"):
            assert status in operation["responses"], (name, status)


async def test_parameters_are_described_with_what_they_may_be(description: dict[str, Any]) -> None:
    described = operations(description)

    def parameter(name: str, of: str) -> Any:
        [found] = [one for one in described[of]["parameters"] if one["name"] == name]
        return found["schema"]

    runs = "GET /threads/{thread_id}/runs"
    cancel = "POST /threads/{thread_id}/runs/{run_id}/cancel"
    assert parameter("thread_id", runs)["format"] == "uuid"
    assert parameter("limit", runs)["maximum"] == 1000
    assert parameter("action", cancel)["enum"] == ["interrupt", "rollback"]
    assert parameter("wait", cancel)["type"] == "boolean"
    assert parameter("X-LGS-Priority", "POST /runs")["enum"] == ["high", "normal", "low"]
    for stream in ("GET /threads/{thread_id}/stream", "GET /threads/{thread_id}/runs/{run_id}/stream"):
        assert parameter("Last-Event-ID", stream)["type"] == "string"
        assert list(described[stream]["responses"]["200"]["content"]) == ["text/event-stream"]
