"""A2A with the stock client: assistants are agents, contexts threads, and tasks runs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from a2a.client import ClientConfig, create_client
from a2a.client.card_resolver import A2ACardResolver
from a2a.helpers import new_text_message
from a2a.types import Role, SendMessageRequest
from api_graphs import entrance
from api_limits import client_of
from api_replicas import open_replica
from google.protobuf.json_format import MessageToDict
from langgraph_sdk.client import LangGraphClient

from lgs_runtime.api.protocols.a2a_agents import answer_of, input_of, result_parts
from lgs_runtime.errors import InvalidRequest
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.settings import Settings
from support.ports import PATIENCE_SECONDS


async def talk(url: str, agent: str, text: str, *, streaming: bool) -> list[dict[str, Any]]:
    """What the stock client receives when it sends something to an agent."""
    async with httpx.AsyncClient() as http:
        path = f"/.well-known/agent-card.json?assistant_id={agent}"
        card = await A2ACardResolver(http, url, agent_card_path=path).get_agent_card()
        client = await create_client(card, ClientConfig(httpx_client=http, streaming=streaming))
        message = new_text_message(text, role=Role.ROLE_USER)
        asked = SendMessageRequest(message=message)
        return [MessageToDict(one) async for one in client.send_message(asked)]


async def rpc(url: str, agent: str, method: str, params: Any) -> Any:
    async with httpx.AsyncClient(base_url=url) as http:
        message = {"jsonrpc": "2.0", "id": "1", "method": method, "params": params}
        answer = await http.post(f"/a2a/{agent}", json=message)
        return answer.json()


def message(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"message": {"kind": "message", "role": "user", "messageId": uuid4().hex, "parts": parts, **more}}


def text(said: str) -> dict[str, str]:
    return {"kind": "text", "text": said}


def data(**fields: Any) -> dict[str, Any]:
    return {"kind": "data", "data": fields}


async def test_the_stock_client_talks_to_an_assistant(url: str) -> None:
    [heard] = await talk(url, "chat", "hello", streaming=False)

    task = heard["task"]
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert task["artifacts"][0]["parts"] == [{"text": "a b c"}]


async def test_the_stock_client_hears_an_assistant_speak(url: str) -> None:
    heard = await talk(url, "chat", "hello", streaming=True)

    pieces = [one["artifactUpdate"] for one in heard if "artifactUpdate" in one]
    *tokens, whole = ["".join(part["text"] for part in piece["artifact"]["parts"]) for piece in pieces]
    assert "".join(tokens) == whole == "a b c"
    assert heard[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_a_card_says_where_an_assistant_is_spoken_to(client: LangGraphClient, url: str) -> None:
    made = await client.assistants.create("chat", name="Helper", description="helps")
    async with httpx.AsyncClient(base_url=url) as http:
        card = await http.get("/.well-known/agent-card.json", params={"assistant_id": made["assistant_id"]})
        missing = await http.get("/.well-known/agent-card.json", params={"assistant_id": str(uuid4())})
        unsaid = await http.get("/.well-known/agent-card.json")
    await client.assistants.delete(made["assistant_id"])

    assert card.json()["url"] == f"{url}/a2a/{made['assistant_id']}"
    assert (card.json()["name"], card.json()["description"]) == ("Helper", "helps")
    assert card.json()["protocolVersion"] == "0.3.0"
    assert (missing.status_code, unsaid.status_code) == (404, 422)


async def test_a_context_is_a_thread_and_goes_on(client: LangGraphClient, url: str) -> None:
    first = (await rpc(url, "chat", "message/send", message(text("one"))))["result"]
    context = first["contextId"]

    second = (await rpc(url, "chat", "message/send", message(text("two"), contextId=context)))["result"]

    values = (await client.threads.get_state(context))["values"]
    assert (second["contextId"], second["id"] != first["id"]) == (context, True)
    assert [one["content"] for one in values["messages"] if one["type"] == "human"] == ["one", "two"]


async def test_a_task_that_needs_input_is_answered_in_its_context(url: str) -> None:
    asked = (await rpc(url, "asks", "message/send", message(data(text="x"))))["result"]
    got = (await rpc(url, "asks", "tasks/get", {"id": asked["id"]}))["result"]

    answered = (await rpc(url, "asks", "message/send", message(text("blue"), taskId=asked["id"])))["result"]

    assert asked["status"]["state"] == got["status"]["state"] == "input-required"
    assert asked["status"]["message"]["parts"] == [data(question="which?")]
    assert answered["status"]["state"] == "completed"
    assert answered["contextId"] == asked["contextId"]
    [part] = answered["artifacts"][0]["parts"]
    assert part["data"]["steps"] == ["first", "told blue", "second"]


async def test_a_task_is_asked_for_and_cancelled(url: str) -> None:
    key = uuid4().hex
    params = {**message(data(text=key)), "configuration": {"blocking": False}}
    begun = (await rpc(url, "slow", "message/send", params))["result"]
    await entrance(key).wait()

    goes_on = (await rpc(url, "slow", "tasks/get", {"id": begun["id"]}))["result"]
    async with asyncio.timeout(PATIENCE_SECONDS):
        cancelled = (await rpc(url, "slow", "tasks/cancel", {"id": begun["id"]}))["result"]
    again = (await rpc(url, "slow", "tasks/cancel", {"id": begun["id"]}))["error"]

    assert begun["status"]["state"] in ("submitted", "working")
    assert goes_on["status"]["state"] == "working"
    assert cancelled["status"]["state"] == "canceled"
    assert again["code"] == -32002


async def test_a_run_that_fails_is_a_failed_task(url: str) -> None:
    failed = (await rpc(url, "broken", "message/send", message(data(text="milk"))))["result"]

    assert failed["status"]["state"] == "failed"
    assert failed["status"]["message"]["parts"] == [text("ValueError: no milk today")]


async def test_a_stream_ends_with_the_state_of_the_task(url: str) -> None:
    call = {"jsonrpc": "2.0", "id": 7, "method": "message/stream", "params": message(data(text="x"))}
    async with httpx.AsyncClient(base_url=url) as http:
        answer = await http.post("/a2a/asks", json=call)

    news = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert {one["id"] for one in news} == {7}
    assert [one["result"]["kind"] for one in news] == ["task", "status-update"]
    assert news[-1]["result"]["final"] is True
    assert news[-1]["result"]["status"]["state"] == "input-required"


@pytest.mark.parametrize(
    ("method", "params", "code", "said"),
    [
        ("message/send", {}, -32602, "params.message"),
        ("message/send", message(), -32602, "at least one"),
        ("message/send", message({"kind": "file", "file": {}}), -32602, "text or data"),
        ("message/send", message(text("x")), -32602, "without messages"),
        ("message/send", message(data(text="x"), contextId="no-uuid"), -32602, "UUID"),
        ("message/send", message(data(text="x"), taskId=str(uuid4())), -32001, "not found"),
        ("tasks/get", {"id": str(uuid4())}, -32001, "not found"),
        ("tasks/get", {}, -32602, "id"),
        ("tasks/pushNotificationConfig/set", {}, -32003, "not supported"),
        ("tasks/drop", {}, -32601, "tasks/drop"),
    ],
)
async def test_what_is_wrong_is_a_json_rpc_error(
    url: str, method: str, params: Any, code: int, said: str
) -> None:
    error = (await rpc(url, "steps", method, params))["error"]

    assert error["code"] == code
    assert said in error["message"]


@pytest.mark.parametrize(
    ("spoken", "text"),
    [
        ([("human", "q"), ("ai", "so"), ("ai", "")], "so"),
        ([("human", "q"), ("ai", "look"), ("tool", "found"), ("ai", "")], "look"),
        ([("ai", "before"), ("human", "q"), ("ai", ""), ("tool", "found")], ""),
        ([("ai", "before"), ("human", "q")], "q"),
        ([("human", "q"), ("ai", [{"type": "text", "text": "in blocks"}])], "in blocks"),
    ],
)
def test_a_result_is_what_the_assistant_said_last_since_it_was_spoken_to(
    spoken: list[tuple[str, Any]], text: str
) -> None:
    messages = [{"type": kind, "content": content} for kind, content in spoken]

    assert result_parts({"messages": messages}) == [{"text": text}]


@pytest.mark.parametrize(
    ("root", "part"),
    [("said", {"text": "said"}), (42, {"data": 42}), ([1], {"data": [1]}), (None, {"data": None})],
)
def test_a_result_that_is_no_object_is_told_without_the_name_of_its_channel(root: Any, part: Any) -> None:
    assert result_parts({"__root__": root}) == [part]


def test_an_empty_text_is_a_text_unless_there_is_data() -> None:
    chat = {"properties": {"messages": {}}}
    empty, both = {"parts": [{"text": ""}]}, {"parts": [{"text": ""}, {"data": {"a": 1}}]}

    assert input_of(empty, chat) == {"messages": [{"role": "user", "content": ""}]}
    with pytest.raises(InvalidRequest, match="must be data for an assistant without messages"):
        input_of(empty, {"properties": {"a": {}}})
    assert input_of(both, {"properties": {"a": {}}}) == {"a": 1}
    assert (answer_of(empty), answer_of(both)) == ("", {"a": 1})


async def test_a_client_that_knows_an_agents_url_alone_finds_its_card_below_it(url: str) -> None:
    async with httpx.AsyncClient() as http:
        card = await A2ACardResolver(http, f"{url}/a2a/chat").get_agent_card()
        older = await http.get(f"{url}/a2a/chat/.well-known/agent.json")
        missing = await http.get(f"{url}/a2a/{uuid4()}/.well-known/agent-card.json")
        client = await create_client(card, ClientConfig(httpx_client=http, streaming=False))
        said = SendMessageRequest(message=new_text_message("hello", role=Role.ROLE_USER))
        [heard] = [MessageToDict(one) async for one in client.send_message(said)]
    with_slash = await rpc(url, "chat/", "message/send", message(text("hello")))

    assert heard["task"]["artifacts"][0]["parts"] == [{"text": "a b c"}]
    assert older.json()["name"] == card.name == "chat"
    assert missing.status_code == 404
    assert with_slash["result"]["status"]["state"] == "completed"


async def test_an_assistant_whose_input_can_not_be_described_takes_text_by_its_state(alone: Settings) -> None:
    graphs = {"odd": GraphSpec("api_graphs:undescribed")}
    async with open_replica(replace(alone, graphs=graphs)) as replica:
        client = client_of(replica.url)
        assert (await client.assistants.get_schemas("odd"))["input_schema"] is None

        answer = await rpc(replica.url, "odd", "message/send", message(text("hello")))

    assert answer["result"]["artifacts"][0]["parts"] == [{"kind": "text", "text": "heard hello"}]
