"""MCP with the stock client: assistants are tools, and what their runs leave is the result of a call."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest
from api_replicas import Replica, open_replica
from langgraph_sdk.client import LangGraphClient
from mcp import Client
from mcp.types import Tool

from lgs_runtime.api.protocols.mcp_tools import arguments_schema, call_result
from lgs_runtime.model import QueueLimits
from lgs_runtime.settings import Settings

JSON = {"Accept": "application/json"}


def connected(url: str) -> Client:
    return Client(f"{url}/mcp")


async def every(tools: Client) -> list[Tool]:
    """The tools of all pages: other tests leave assistants too."""
    page = await tools.list_tools()
    found = list(page.tools)
    while page.next_cursor is not None:
        page = await tools.list_tools(cursor=page.next_cursor)
        found += page.tools
    return found


async def send(url: str, message: Any, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=url) as http:
        return await http.post("/mcp/", json=message, headers={**JSON, **headers})


async def rpc(url: str, method: str, params: Any = None, **headers: str) -> Any:
    message = {"jsonrpc": "2.0", "id": 0, "method": method, "params": params}
    answer = await send(url, message, **headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_each_assistant_is_a_tool(url: str) -> None:
    async with connected(url) as tools:
        listed = {tool.name: tool for tool in await every(tools)}

    assert {"steps", "chat", "asks"} <= set(listed)
    assert set(listed["steps"].input_schema["properties"]) == {"steps", "text"}
    assert listed["chat"].input_schema["properties"]["messages"]["anyOf"][0] == {"type": "string"}
    assert "$defs" not in listed["chat"].input_schema


async def test_a_call_is_a_run_and_gives_its_values(url: str) -> None:
    async with connected(url) as tools:
        result = await tools.call_tool("steps", {"text": "x"})
        said = await tools.call_tool("chat", {"messages": "hello"})

    assert result.is_error is False
    assert result.structured_content == {"steps": ["first", "second"], "text": "x"}
    assert result.content[0].text == '{"steps":["first","second"],"text":"x"}'  # type: ignore[union-attr]
    assert said.structured_content is not None
    assert [one["type"] for one in said.structured_content["messages"]] == ["human", "ai"]


async def test_a_run_that_fails_or_asks_is_an_error_of_the_tool(url: str) -> None:
    async with connected(url) as tools:
        failed = await tools.call_tool("broken", {"text": "milk"})
        asked = await tools.call_tool("asks", {})

    assert (failed.is_error, asked.is_error) == (True, True)
    assert failed.content[0].text == "ValueError: no milk today"  # type: ignore[union-attr]
    assert "which?" in asked.content[0].text  # type: ignore[union-attr]


async def test_assistants_of_one_name_are_tools_of_two(client: LangGraphClient, url: str) -> None:
    made = [
        await client.assistants.create("steps", name="my helper!", description=f"number {n}")
        for n in range(2)
    ]
    second = made[1]["assistant_id"]

    async with connected(url) as tools:
        found = [tool for tool in await every(tools) if tool.title == "my helper!"]
        result = await tools.call_tool(f"my_helper__{second[:8]}", {})

    for assistant in made:
        await client.assistants.delete(assistant["assistant_id"])
    assert {tool.name: tool.description for tool in found} == {
        "my_helper_": "number 0",
        f"my_helper__{second[:8]}": "number 1",
    }
    assert result.structured_content == {"steps": ["first", "second"]}


async def test_tools_come_in_pages(alone: Settings) -> None:
    async with open_replica(alone) as replica:
        for n in range(101):
            await replica.client.assistants.create("steps", name=f"tool {n}")

        first = (await rpc(replica.url, "tools/list"))["result"]
        second = (await rpc(replica.url, "tools/list", {"cursor": first["nextCursor"]}))["result"]

    names = [tool["name"] for tool in [*first["tools"], *second["tools"]]]
    assert len(first["tools"]) == 100
    assert len(names) == len(set(names))
    assert {f"tool_{n}" for n in range(101)} < set(names)
    assert "nextCursor" not in second


@pytest.mark.parametrize(("asked", "spoken"), [("2025-03-26", "2025-03-26"), ("1999-01-01", "2025-11-25")])
async def test_a_version_is_agreed_on(url: str, asked: str, spoken: str) -> None:
    params = {"protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}

    result = (await rpc(url, "initialize", params))["result"]

    assert result["protocolVersion"] == spoken
    assert "tools" in result["capabilities"]


@pytest.mark.parametrize(
    ("message", "code", "said"),
    [
        ([], -32600, "one JSON-RPC 2.0 message"),
        ({"id": 1, "method": "ping"}, -32600, "jsonrpc"),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}, -32600, "1.5"),
        ({"jsonrpc": "2.0", "id": 1, "method": 7}, -32600, "method: 7"),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}, -32602, "params"),
        ({"jsonrpc": "2.0", "id": 1, "method": "tools/drop"}, -32601, "tools/drop"),
        ({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "no"}}, -32602, "tools/list"),
        (
            {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "steps", "arguments": []}},
            -32602,
            "arguments",
        ),
        ({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": "x"}}, -32602, "cursor"),
    ],
)
async def test_what_is_wrong_is_a_json_rpc_error(url: str, message: Any, code: int, said: str) -> None:
    error = (await send(url, message)).json()["error"]

    assert error["code"] == code
    assert said in error["message"]


async def test_transport_follows_the_specification(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        listening, ended = await http.get("/mcp"), await http.delete("/mcp/")
        broken = await http.post("/mcp", content=b"{", headers=JSON)
        unwanted = await http.post("/mcp", json={}, headers={"Accept": "text/html"})
    noticed = await send(url, {"jsonrpc": "2.0", "method": "notifications/initialized"})
    answered = await send(url, {"jsonrpc": "2.0", "id": 1, "result": {}})
    strange = await send(
        url, {"jsonrpc": "2.0", "id": 1, "method": "ping"}, **{"MCP-Protocol-Version": "1999-01-01"}
    )

    assert [one.status_code for one in (listening, ended, noticed, answered)] == [405, 404, 202, 202]
    assert listening.headers["allow"] == "POST"
    assert (broken.status_code, broken.json()["error"]["code"]) == (400, -32700)
    assert (unwanted.status_code, strange.status_code) == (406, 400)
    assert (await rpc(url, "ping"))["result"] == {}


async def test_a_client_that_takes_events_only_gets_one(url: str) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "steps", "arguments": {}}}

    answer = await send(url, call, Accept="text/event-stream")

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.startswith('event: message\ndata: {"jsonrpc":"2.0","id":1,"result"')


async def test_a_full_queue_and_a_missing_key_keep_their_status(alone: Settings) -> None:
    full = replace(alone, queue_limits=QueueLimits(normal=0), concurrency=1)
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "steps", "arguments": {}}}
    async with open_replica(replace(full, api_keys="ops=a-long-and-secret-key")) as replica:
        await replica.services.worker.drain(0)

        stranger = await send(replica.url, call)
        refused = await send(replica.url, call, **{"X-Api-Key": "a-long-and-secret-key"})

    assert stranger.status_code == 401
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, -32000)
    assert int(refused.headers["retry-after"]) > 0


def test_a_graph_that_takes_no_object_is_given_one_argument() -> None:
    schema = {"type": "string", "title": "Question"}

    assert arguments_schema(schema) == {
        "type": "object",
        "properties": {"input": schema},
        "required": ["input"],
    }
    assert arguments_schema(None) == {"type": "object"}


def test_only_definitions_that_are_used_are_told() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"items": {"$ref": "#/$defs/B"}}, "B": {"type": "integer"}, "C": {"type": "null"}},
    }

    assert set(arguments_schema(schema)["$defs"]) == {"A", "B"}


async def test_both_replicas_answer_the_same(replica: Replica, other: Replica) -> None:
    assert await rpc(replica.url, "tools/list") == await rpc(other.url, "tools/list")


@pytest.mark.parametrize(
    ("root", "said"), [("said", "said"), (42, "42"), ([1, "a"], '[1,"a"]'), (None, "null"), ("", "")]
)
def test_a_result_that_is_no_object_is_told_without_the_name_of_its_channel(root: Any, said: str) -> None:
    found = call_result({"__root__": root})

    assert found["content"] == [{"type": "text", "text": said}]
    assert found["structuredContent"] == {"result": root}
