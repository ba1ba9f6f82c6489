"""A graph's question over MCP 2026-07-28: the stock client puts it to a person, and calls again with the
answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx
import pytest
from api_replicas import Replica
from langgraph_sdk.client import LangGraphClient
from mcp import Client
from mcp.client.context import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult

from lgs_runtime.api.protocols.jsonrpc import RpcError
from lgs_runtime.api.protocols.mcp_questions import Declined, answers, input_required

ALICE = {"Authorization": "Bearer alice-token"}
BOB = {"Authorization": "Bearer bob-token"}
META = "io.modelcontextprotocol/"
VERSION = "2026-07-28"


class Person:
    """Answers what it is asked, in turn, and remembers the questions."""

    def __init__(self, *given: ElicitResult) -> None:
        self._given = list(given)
        self.asked: list[ElicitRequestParams] = []

    async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        self.asked.append(params)
        return self._given.pop(0)


def says(**content: Any) -> ElicitResult:
    return ElicitResult(action="accept", content=content)


def request(method: str, params: Mapping[str, Any] | None = None, **capabilities: Any) -> dict[str, Any]:
    meta = {f"{META}protocolVersion": VERSION, f"{META}clientCapabilities": capabilities}
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**(params or {}), "_meta": meta}}


async def send(url: str, message: Mapping[str, Any], **headers: str | None) -> httpx.Response:
    told = {"MCP-Protocol-Version": VERSION, "Mcp-Method": str(message["method"])}
    if name := message["params"].get("name"):
        told["Mcp-Name"] = name
    given = {key: value for key, value in {**told, **headers}.items() if value is not None}
    async with httpx.AsyncClient(base_url=url) as http:
        return await http.post("/mcp", json=message, headers={"Accept": "application/json", **given})


async def call(url: str, tool: str, params: Mapping[str, Any] | None = None, **headers: str) -> Any:
    asked = {"name": tool, "arguments": {}, **(params or {})}
    answer = await send(url, request("tools/call", asked, elicitation={"form": {}}), **headers)
    return answer.json()


async def threads_of_calls(client: LangGraphClient, assistant: str) -> list[Any]:
    found = await client.assistants.search(graph_id=assistant)
    ids = [one["assistant_id"] for one in found]
    return [
        thread for one in ids for thread in await client.threads.search(metadata={"mcp_tool": one}, limit=100)
    ]


async def test_a_person_is_asked_what_the_graph_asks(client: LangGraphClient, url: str) -> None:
    person = Person(says(answer="blue"))

    async with Client(f"{url}/mcp", elicitation_callback=person) as tools:
        result = await tools.call_tool("asks", {})

    assert (result.is_error, len(person.asked)) == (False, 1)
    assert person.asked[0].message == '{"question":"which?"}'
    assert result.structured_content is not None
    assert result.structured_content["steps"] == ["first", "told blue", "second"]
    assert await threads_of_calls(client, "asks") == []


async def test_questions_are_asked_one_after_the_other(url: str) -> None:
    person = Person(says(answer="1"), says(answer="2"))

    async with Client(f"{url}/mcp", elicitation_callback=person) as tools:
        result = await tools.call_tool("asks_twice", {})

    assert [one.message for one in person.asked] == ['{"question":"one?"}', '{"question":"two?"}']
    assert result.structured_content is not None
    assert result.structured_content["steps"][-3:-1] == ["1", "2"]


async def test_questions_that_come_together_are_asked_together(url: str) -> None:
    person = Person(says(answer="A"), says(answer="B"))

    async with Client(f"{url}/mcp", elicitation_callback=person) as tools:
        result = await tools.call_tool("asks_both", {})

    told = dict(zip((one.message for one in person.asked), "AB", strict=True))
    assert result.structured_content is not None
    assert {f"left {told['left?']}", f"right {told['right?']}"} <= set(result.structured_content["steps"])


async def test_who_declines_ends_the_call(client: LangGraphClient, url: str) -> None:
    person = Person(ElicitResult(action="decline"))

    async with Client(f"{url}/mcp", elicitation_callback=person) as tools:
        result = await tools.call_tool("asks", {})

    assert result.is_error is True
    assert "declined" in result.content[0].text  # type: ignore[union-attr]
    assert await threads_of_calls(client, "asks") == []


async def test_an_answer_goes_on_at_any_replica(replica: Replica, other: Replica) -> None:
    asked = (await call(replica.url, "asks"))["result"]
    [question] = asked["inputRequests"]
    given = {question: {"action": "accept", "content": {"answer": "blue"}}}

    params = {"requestState": asked["requestState"], "inputResponses": given}
    result = (await call(other.url, "asks", params))["result"]

    assert asked["resultType"] == "input_required"
    assert result["resultType"] == "complete"
    assert result["structuredContent"]["steps"] == ["first", "told blue", "second"]


async def test_an_answer_that_is_missing_is_asked_for_once_more(url: str) -> None:
    asked = (await call(url, "asks_both"))["result"]
    first, second = asked["inputRequests"]
    some = {first: {"action": "accept", "content": {"answer": "x"}}}
    params = {"requestState": asked["requestState"], "inputResponses": some}

    again = (await call(url, "asks_both", params))["result"]

    assert again["resultType"] == "input_required"
    assert set(again["inputRequests"]) == {first, second}


async def test_an_answer_counts_once(url: str) -> None:
    asked = (await call(url, "asks"))["result"]
    [question] = asked["inputRequests"]
    given = {question: {"action": "accept", "content": {"answer": "blue"}}}
    params = {"requestState": asked["requestState"], "inputResponses": given}

    told = await asyncio.gather(*(call(url, "asks", params) for _ in range(4)))

    # Who comes too late is refused, or his run finds the question answered.
    results = [one["result"] for one in told if "result" in one and not one["result"].get("isError")]
    assert [one["structuredContent"]["steps"] for one in results] == [["first", "told blue", "second"]]


async def test_a_state_of_something_else_is_refused(client: LangGraphClient, url: str) -> None:
    asked = (await call(url, "asks"))["result"]
    thread = await client.threads.create()
    wrong = [asked["requestState"] + "x", str(uuid4()), thread["thread_id"], 7, ""]

    refused = [await call(url, "asks", {"requestState": one, "inputResponses": {}}) for one in wrong]
    of_another = await call(url, "asks_twice", {"requestState": asked["requestState"], "inputResponses": {}})

    assert {one["error"]["code"] for one in [*refused, of_another]} == {-32602}
    assert all("requestState" in one["error"]["message"] for one in [*refused, of_another])


@pytest.mark.parametrize(
    "wrong", [{}, {"action": "accept"}, {"action": "accept", "content": {}}, "yes", None]
)
async def test_an_answer_that_is_none_is_refused_and_the_call_still_waits(url: str, wrong: Any) -> None:
    asked = (await call(url, "asks"))["result"]
    [question] = asked["inputRequests"]
    state = asked["requestState"]

    refused = await call(url, "asks", {"requestState": state, "inputResponses": {question: wrong}})
    right = {question: {"action": "accept", "content": {"answer": "blue"}}}
    result = await call(url, "asks", {"requestState": state, "inputResponses": right})

    assert refused["error"]["code"] == -32602
    assert question in refused["error"]["message"]
    assert result["result"]["structuredContent"]["steps"] == ["first", "told blue", "second"]


async def test_a_client_that_can_ask_nobody_is_told_the_question(url: str) -> None:
    asked = {"name": "asks", "arguments": {}}
    result = (await send(url, request("tools/call", asked))).json()["result"]

    assert (result["isError"], result["resultType"]) == (True, "complete")
    assert "which?" in result["content"][0]["text"]


async def test_a_request_tells_its_version_itself(url: str) -> None:
    found = (await send(url, request("server/discover"))).json()["result"]
    tools = (await send(url, request("tools/list"))).json()["result"]

    assert found["supportedVersions"][0] == VERSION
    assert found["capabilities"] == {"tools": {"listChanged": False}}
    assert (tools["resultType"], tools["ttlMs"], tools["cacheScope"]) == ("complete", 0, "private")
    assert tools["_meta"][f"{META}serverInfo"]["name"] == "LangGraphService"


@pytest.mark.parametrize(
    ("method", "headers", "status", "code"),
    [
        ("tools/list", {"MCP-Protocol-Version": "2099-01-01"}, 400, -32020),
        ("tools/list", {"MCP-Protocol-Version": None}, 400, -32020),
        ("tools/list", {"Mcp-Method": "tools/call"}, 400, -32020),
        ("tools/list", {"Mcp-Method": None}, 400, -32020),
        ("initialize", {}, 404, -32601),
        ("ping", {}, 404, -32601),
        ("tools/drop", {}, 404, -32601),
    ],
)
async def test_what_contradicts_itself_or_is_not_there_is_refused(
    url: str, method: str, headers: Any, status: int, code: int
) -> None:
    answer = await send(url, request(method), **headers)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_a_tool_is_named_alike_in_header_and_body(url: str) -> None:
    asked = request("tools/call", {"name": "steps", "arguments": {}})

    wrapped = await send(url, asked, **{"Mcp-Name": "=?base64?c3RlcHM=?="})
    other = await send(url, asked, **{"Mcp-Name": "chat"})

    assert wrapped.json()["result"]["isError"] is False
    assert (other.status_code, other.json()["error"]["code"]) == (400, -32020)


async def test_a_version_that_nobody_speaks_is_told_those_that_are(url: str) -> None:
    message = request("tools/list")
    message["params"]["_meta"][f"{META}protocolVersion"] = "2099-01-01"

    answer = await send(url, message, **{"MCP-Protocol-Version": "2099-01-01"})

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, -32022)
    assert error["data"]["requested"] == "2099-01-01"
    assert VERSION in error["data"]["supported"]


@pytest.mark.parametrize("key", ["protocolVersion", "clientCapabilities"])
async def test_a_request_that_leaves_out_what_it_must_tell_is_refused(url: str, key: str) -> None:
    message = request("tools/list")
    del message["params"]["_meta"][META + key]

    answer = await send(url, message)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32602)
    assert key in answer.json()["error"]["message"]


def test_a_question_that_brings_a_form_is_put_in_that_form() -> None:
    form = {"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]}
    asked = [{"id": "q", "value": {"message": "How large?", "requestedSchema": form}}]

    params = input_required(asked, "s")["inputRequests"]["q"]["params"]
    given = answers(asked, {"q": {"action": "accept", "content": {"size": 3}}})

    assert (params["message"], params["requestedSchema"]) == ("How large?", form)
    assert given == {"q": {"size": 3}}


def test_a_tool_call_is_approved_or_rejected() -> None:
    calls = [{"name": "mail", "args": {"to": "a"}}, {"name": "pay", "args": {}, "description": "Pay 3?"}]
    reviews = [{"action_name": "pay", "allowed_decisions": ["approve"]}]
    asked = [{"id": "q", "value": {"action_requests": calls, "review_configs": reviews}}]
    content = {"decision_1": "reject", "message_1": "not now", "decision_2": "approve"}

    params = input_required(asked, "s")["inputRequests"]["q"]["params"]
    given = answers(asked, {"q": {"action": "accept", "content": content}})

    assert params["message"] == 'mail: {"to":"a"}\nPay 3?'
    assert params["requestedSchema"]["properties"]["decision_2"]["enum"] == ["approve"]
    decided = [{"type": "reject", "message": "not now"}, {"type": "approve"}]
    assert given == {"q": {"decisions": decided}}


@pytest.mark.parametrize(
    ("question", "text", "given"),
    [
        ("which?", '{"a": 1}', '{"a": 1}'),
        ({"q": 1}, '{"a": 1}', {"a": 1}),
        ({"q": 1}, "[1", "[1"),
        ({"q": 1}, "7", "7"),
    ],
)
def test_a_text_is_an_object_where_more_than_a_text_was_asked(question: Any, text: str, given: Any) -> None:
    found = answers(
        [{"id": "q", "value": question}], {"q": {"action": "accept", "content": {"answer": text}}}
    )

    assert found == {"q": given}


def test_a_decision_that_is_not_offered_is_refused() -> None:
    asked = [{"id": "q", "value": {"action_requests": [{"name": "pay", "args": {}}]}}]

    with pytest.raises(RpcError, match="decision_1"):
        answers(asked, {"q": {"action": "accept", "content": {"decision_1": "edit"}}})
    with pytest.raises(Declined):
        answers(asked, {"q": {"action": "cancel"}})
