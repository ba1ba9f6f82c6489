"""Protocol v2, A2A and MCP of a service whose replicas that execute are all gone: what is heard until one
comes, and after."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from api_apart import answering, executing
from api_replicas import Replica, settings_of
from langgraph_sdk.stream.transport import ProtocolSseTransport
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult
from websockets.asyncio.client import connect

from lgs_runtime.settings import Settings
from lgs_runtime.streams.stream_v2 import CHANNELS
from support.postgres import fresh_database
from support.waiting import until

pytestmark = pytest.mark.usefixtures("unhurried")
Event = dict[str, Any]
Listen = Callable[[str, str], Any]
STEPS = ["first", "second"]


@pytest.fixture(params=["redis", "no redis"])
def apart(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """The settings of replicas on different machines, over one PostgreSQL of the test's own."""
    with fresh_database(request.getfixturevalue("postgres_service")) as uri:
        redis = request.getfixturevalue("redis_service") if request.param == "redis" else None
        found = settings_of(tmp_path, {"database_uri": uri, "redis_uri": redis})
        yield replace(found, reuse_port=False)


@asynccontextmanager
async def by_sse(url: str, thread: str) -> AsyncIterator[AsyncIterator[Event]]:
    """The events of a thread, by the SDK's transport."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        transport = ProtocolSseTransport(client=http, thread_id=thread)
        handle = transport.open_event_stream({"channels": sorted(CHANNELS)})
        await handle.ready
        yield handle.events
        await transport.close()


@asynccontextmanager
async def by_websocket(url: str, thread: str) -> AsyncIterator[AsyncIterator[Event]]:
    """The same over a socket."""
    address = f"{url.replace('http', 'ws', 1)}/threads/{thread}/stream/events"
    async with connect(address) as connection:
        wanted = {"channels": sorted(CHANNELS)}
        await connection.send(json.dumps({"id": 1, "method": "subscription.subscribe", "params": wanted}))
        assert json.loads(await connection.recv())["type"] == "success"

        async def events() -> AsyncIterator[Event]:
            async for message in connection:
                yield json.loads(message)

        yield events()


WAYS = pytest.mark.parametrize("listen", [by_sse, by_websocket], ids=["sse", "websocket"])


def is_end(event: Event) -> bool:
    data, namespace = event["params"]["data"], event["params"]["namespace"]
    return event["method"] == "lifecycle" and not namespace and data["event"] not in ("started", "running")


async def until_the_end(events: AsyncIterator[Event]) -> list[Event]:
    heard: list[Event] = []
    async with asyncio.timeout(60):
        async for event in events:
            heard.append(event)
            if is_end(event):
                break
    return heard


async def command(url: str, thread: str, method: str, params: Any) -> Any:
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        body = {"id": 7, "method": method, "params": params}
        answer = await http.post(f"/threads/{thread}/commands", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


def started(graph: str) -> Any:
    return {"assistant_id": graph, "input": {"text": "x"}}


async def waiting(api: Replica, number: int) -> bool:
    return (await api.services.storage.queue.depth()).normal.waiting == number


@WAYS
async def test_a_stream_that_was_opened_while_nobody_executes_tells_the_whole_run_once_one_comes(
    apart: Settings, listen: Listen
) -> None:
    thread = str(uuid4())
    async with answering(apart) as api, listen(api.url, thread) as events:
        hearing = asyncio.create_task(until_the_end(events))
        begun = await command(api.url, thread, "run.start", started("steps"))
        await until(lambda: waiting(api, 1), "the run waits")
        ended_too_early = hearing.done()
        async with executing(apart):
            heard = await hearing

    assert begun["type"] == "success"
    assert not ended_too_early
    methods = [event["method"] for event in heard]
    values = [event["params"]["data"] for event in heard if event["method"] == "values"]
    numbers = [event["seq"] for event in heard]
    assert heard[-1]["params"]["data"]["event"] == "completed"
    assert values[-1]["steps"] == STEPS
    assert numbers == sorted(set(numbers))
    assert methods.count("updates") == (0 if apart.redis_uri is None else 2)


@WAYS
async def test_a_question_that_was_asked_is_answered_while_nobody_executes(
    apart: Settings, listen: Listen
) -> None:
    thread = str(uuid4())
    async with answering(apart) as api:
        async with executing(apart), listen(api.url, thread) as events:
            await command(api.url, thread, "run.start", started("asks"))
            asked = await until_the_end(events)
        (question,) = [event["params"]["data"] for event in asked if event["method"] == "input.requested"]
        async with listen(api.url, thread) as events:
            told_before = await until_the_end(events)
            given = {"interrupt_id": question["interrupt_id"], "response": "blue"}
            answered = await command(api.url, thread, "input.respond", given)
            hearing = asyncio.create_task(until_the_end(events))
            await until(lambda: waiting(api, 1), "the run that goes on waits")
            async with executing(apart):
                heard = await hearing
        state = await api.client.threads.get_state(thread)

    assert (asked[-1]["params"]["data"]["event"], told_before[-1]) == ("interrupted", asked[-1])
    assert answered["type"] == "success"
    assert heard[-1]["params"]["data"]["event"] == "completed"
    assert state["values"]["steps"] == ["first", "told blue", "second"]


@WAYS
async def test_a_run_that_is_cancelled_while_nobody_executes_ends_for_who_listens(
    apart: Settings, listen: Listen
) -> None:
    thread = str(uuid4())
    async with answering(apart) as api, listen(api.url, thread) as events:
        begun = await command(api.url, thread, "run.start", started("steps"))
        hearing = asyncio.create_task(until_the_end(events))
        await api.client.runs.cancel(thread, begun["result"]["run_id"])
        heard = await hearing

    end = heard[-1]["params"]["data"]
    assert (end["event"], end["error"]) == ("failed", "the run was cancelled")


async def test_the_stock_thread_stream_gives_its_output_once_somebody_executes(apart: Settings) -> None:
    async with answering(apart) as api, api.client.threads.stream(assistant_id="chat") as thread:
        await thread.run.start(input={"messages": [{"role": "user", "content": "hi"}]})
        await until(lambda: waiting(api, 1), "the run waits")
        output = asyncio.ensure_future(thread.output)
        async with executing(apart):
            values = await output

    assert [message["type"] for message in values["messages"]] == ["human", "ai"]


def message(**more: Any) -> dict[str, Any]:
    parts = [{"kind": "text", "text": "hello"}]
    return {"message": {"kind": "message", "role": "user", "messageId": uuid4().hex, "parts": parts}, **more}


async def rpc(url: str, method: str, params: Any) -> Any:
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        call = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        return (await http.post("/a2a/chat", json=call)).json()["result"]


async def follow(url: str, task: str, began: asyncio.Event) -> list[Any]:
    """What is told of a task from now on."""
    call = {"jsonrpc": "2.0", "id": 7, "method": "tasks/resubscribe", "params": {"id": task}}
    heard = []
    async with (
        httpx.AsyncClient(base_url=url, timeout=60) as http,
        http.stream("POST", "/a2a/chat", json=call) as answer,
    ):
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                heard.append(json.loads(line[6:])["result"])
                began.set()
    return heard


async def begun_task(api: Replica) -> Any:
    """A task of A2A that nobody executes."""
    return await rpc(api.url, "message/send", message(configuration={"blocking": False}))


async def test_who_subscribes_to_a_task_that_nobody_executes_hears_it_once_one_comes(apart: Settings) -> None:
    began = asyncio.Event()
    async with answering(apart) as api, answering(apart, "another") as other:
        task = await begun_task(api)
        hearing = asyncio.create_task(follow(other.url, task["id"], began))
        await began.wait()
        async with executing(apart):
            heard = await hearing

    assert (task["status"]["state"], heard[0]["status"]["state"]) == ("submitted", "submitted")
    assert heard[-1]["status"]["state"] == "completed"
    (whole,) = [each for each in heard if each.get("lastChunk")]
    assert whole["artifact"]["parts"][0]["text"] == "a b c"


async def test_who_subscribes_to_a_task_that_is_cancelled_while_nobody_executes_hears_its_end(
    apart: Settings,
) -> None:
    began = asyncio.Event()
    async with answering(apart) as api:
        task = await begun_task(api)
        hearing = asyncio.create_task(follow(api.url, task["id"], began))
        await began.wait()
        cancelled = await rpc(api.url, "tasks/cancel", {"id": task["id"]})
        heard = await hearing

    assert cancelled["status"]["state"] == "canceled"
    assert (heard[-1]["status"]["state"], heard[-1]["final"]) == ("canceled", True)


async def test_a_person_is_asked_over_mcp_though_nobody_executed_when_the_tool_was_called(
    apart: Settings,
) -> None:
    asked: list[ElicitRequestParams] = []

    async def person(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params)
        return ElicitResult(action="accept", content={"answer": "blue"})

    async with answering(apart) as api, Client(f"{api.url}/mcp", elicitation_callback=person) as tools:
        calling = asyncio.create_task(tools.call_tool("asks", {}))
        await until(lambda: waiting(api, 1), "the run waits")
        async with executing(apart):
            result = await calling

    assert [each.message for each in asked] == ['{"question":"which?"}']
    assert result.structured_content is not None
    assert result.structured_content["steps"] == ["first", "told blue", "second"]


async def test_who_leaves_a_tool_of_mcp_that_nobody_executes_leaves_no_listener(apart: Settings) -> None:
    async with answering(apart) as api:
        params = {"name": "steps", "arguments": {}}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        async with httpx.AsyncClient(base_url=api.url, timeout=60) as http:
            calling: Awaitable[Any] = http.post("/mcp/", json=call, headers={"Accept": "application/json"})
            asking = asyncio.ensure_future(calling)
            await until(lambda: waiting(api, 1), "the run waits")
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        await until(lambda: not api.services.notifier.followed, "nobody follows any more")
