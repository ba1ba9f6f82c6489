"""MCP, A2A, authentication and webhooks where replicas that answer and replicas that execute stand apart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from api_apart import answering, executing
from api_graphs import entrance, gate
from api_replicas import Replica, settings_of
from mcp import Client

from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.settings import Settings
from support.postgres import fresh_database
from support.receiver import receiving
from support.waiting import until

pytestmark = pytest.mark.usefixtures("unhurried")
ALICE = {"Authorization": "Bearer alice-token"}
BOB = {"Authorization": "Bearer bob-token"}


@pytest.fixture(scope="module", params=["redis", "no redis"])
def apart(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The settings of replicas on different machines, over one PostgreSQL."""
    folder = tmp_path_factory.mktemp("split")
    with fresh_database(request.getfixturevalue("postgres_service")) as uri:
        redis = request.getfixturevalue("redis_service") if request.param == "redis" else None
        yield replace(settings_of(folder, {"database_uri": uri, "redis_uri": redis}), reuse_port=False)


@pytest.fixture(scope="module")
async def api(apart: Settings) -> AsyncIterator[Replica]:
    """A replica that answers, beside one that executes."""
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(answering(apart))
        await stack.enter_async_context(executing(apart))
        yield opened


@pytest.fixture
def alone(postgres_service: str, redis_service: str, tmp_path: Path) -> Iterator[Settings]:
    """The settings of a service of the test's own, with nothing in it."""
    with fresh_database(postgres_service) as uri:
        found = settings_of(tmp_path, {"database_uri": uri, "redis_uri": redis_service})
        yield replace(found, reuse_port=False)


def said(text: str, **more: Any) -> dict[str, Any]:
    """The parameters of a message of A2A."""
    parts = [{"kind": "text", "text": text}]
    return {"message": {"kind": "message", "role": "user", "messageId": uuid4().hex, "parts": parts, **more}}


def call_of(method: str, params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": "1", "method": method, "params": params}


async def a2a(url: str, agent: str, method: str, params: Any, **headers: str) -> Any:
    async with httpx.AsyncClient(base_url=url, timeout=60, headers=headers) as http:
        return (await http.post(f"/a2a/{agent}", json=call_of(method, params))).json()


async def heard(url: str, agent: str, text: str) -> list[dict[str, Any]]:
    """What a stream of A2A brings."""
    found: list[dict[str, Any]] = []
    async with (
        httpx.AsyncClient(base_url=url, timeout=60) as http,
        http.stream("POST", f"/a2a/{agent}", json=call_of("message/stream", said(text))) as answer,
    ):
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                found.append(json.loads(line.removeprefix("data:"))["result"])
    return found


async def test_a_tool_of_mcp_is_called_where_requests_come_and_executed_elsewhere(api: Replica) -> None:
    async with Client(f"{api.url}/mcp") as tools:
        listed = {tool.name for tool in (await tools.list_tools()).tools}
        done = await tools.call_tool("steps", {"text": "x"})
        failed = await tools.call_tool("broken", {"text": "milk"})
        asks = await tools.call_tool("asks", {})

    assert {"steps", "broken", "asks"} <= listed
    assert done.structured_content == {"steps": ["first", "second"], "text": "x"}
    assert failed.content[0].text == "ValueError: no milk today"  # type: ignore[union-attr]
    assert asks.is_error and "which?" in asks.content[0].text  # type: ignore[union-attr]


async def test_an_agent_of_a2a_answers_and_goes_on_with_its_context(api: Replica) -> None:
    first = (await a2a(api.url, "chat", "message/send", said("one")))["result"]
    second = (await a2a(api.url, "chat", "message/send", said("two", contextId=first["contextId"])))["result"]
    asked = await a2a(api.url, "chat", "tasks/get", {"id": second["id"], "contextId": first["contextId"]})

    assert first["artifacts"][0]["parts"][0]["text"] == "a b c"
    assert asked["result"]["status"]["state"] == "completed"
    messages = (await api.client.threads.get_state(first["contextId"]))["values"]["messages"]
    assert [each["content"] for each in messages if each["type"] == "human"] == ["one", "two"]


async def test_an_agent_of_a2a_is_heard_speaking_where_there_is_redis_and_else_at_the_end(
    apart: Settings, api: Replica
) -> None:
    events = await heard(api.url, "chat", "hello")

    pieces = [
        "".join(part["text"] for part in each["artifact"]["parts"])
        for each in events
        if each["kind"] == "artifact-update"
    ]
    assert pieces[-1] == "a b c"
    assert "".join(pieces[:-1]) == ("" if apart.redis_uri is None else "a b c")
    assert events[-1]["status"]["state"] == "completed"


async def test_a_task_of_a2a_is_cancelled_from_where_requests_come(api: Replica) -> None:
    key = (await api.client.threads.create())["thread_id"]
    run = await api.client.runs.create(key, "slow", input={"text": key})
    await entrance(key).wait()

    cancelled = await a2a(api.url, "slow", "tasks/cancel", {"id": run["run_id"], "contextId": key})

    gate(key).set()
    assert cancelled["result"]["status"]["state"] == "canceled"


async def test_whose_run_it_is_is_known_to_the_graph_where_it_is_executed(alone: Settings) -> None:
    graphs = {**alone.graphs, "who": GraphSpec("api_graphs:who")}
    settings = replace(alone, graphs=graphs, auth_path="api_auth:tokens")
    asked = {"assistant_id": "who", "input": {}}

    async with answering(settings) as api, executing(settings):
        async with httpx.AsyncClient(base_url=api.url, timeout=60) as http:
            statuses = [
                (await http.post("/runs/wait", json=asked, headers=headers)).status_code
                for headers in ({}, {"Authorization": "Bearer eve"})
            ]
            told = [
                (await http.post("/runs/wait", json=asked, headers=headers)).json()["told"]
                for headers in (ALICE, BOB)
            ]
            by_mcp = await http.post(
                "/mcp/",
                json=call_of("tools/call", {"name": "who", "arguments": {}}),
                headers={"Accept": "application/json", **ALICE},
            )
            unknown = await http.post("/mcp/", json=call_of("tools/list", {}))
        by_a2a = await a2a(api.url, "who", "message/send", said("x"))

    assert statuses == [401, 401]
    assert [each["langgraph_auth_user_id"] for each in told] == ["alice", "bob"]
    assert by_mcp.json()["result"]["structuredContent"]["told"]["langgraph_auth_user_id"] == "alice"
    assert unknown.status_code == 401
    assert "result" not in by_a2a


async def test_calls_of_mcp_and_a2a_wait_for_who_executes_them(alone: Settings) -> None:
    async with answering(alone) as api, Client(f"{api.url}/mcp") as tools:
        called = asyncio.create_task(tools.call_tool("steps", {"text": "x"}))
        sent = asyncio.create_task(a2a(api.url, "chat", "message/send", said("hello")))
        streamed = asyncio.create_task(heard(api.url, "chat", "hello"))
        await until(lambda: waiting(api, 3), "three runs wait")
        ended = [each for each in (called, sent, streamed) if each.done()]
        async with executing(alone):
            done, task, events = await called, (await sent)["result"], await streamed

    assert ended == []
    assert done.structured_content == {"steps": ["first", "second"], "text": "x"}
    assert task["status"]["state"] == events[-1]["status"]["state"] == "completed"


async def test_a_run_that_is_cancelled_while_nobody_executes_tells_its_webhook(alone: Settings) -> None:
    async with receiving() as receiver, answering(alone) as api:
        thread = (await api.client.threads.create())["thread_id"]
        run = await api.client.runs.create(thread, "steps", input={}, webhook=receiver.url)
        await api.client.runs.cancel(thread, run["run_id"])
        told = await receiver.first()

    assert (told["run_id"], told["status"]) == (run["run_id"], "interrupted")


async def waiting(replica: Replica, number: int) -> bool:
    return (await replica.services.storage.queue.depth()).normal.waiting == number
