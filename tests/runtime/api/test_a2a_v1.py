"""A2A 1.0, in the SDK's own types: what is answered is read by them strictly, and what 0.3 calls otherwise is
called by its new name."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
from a2a.client import ClientConfig, create_client
from a2a.client.card_resolver import A2ACardResolver
from a2a.types import AgentCard, ListTasksResponse, SendMessageResponse, StreamResponse, Task, TaskState
from api_graphs import entrance
from google.protobuf.json_format import ParseDict

V1 = {"A2A-Version": "1.0"}


async def rpc(url: str, agent: str, method: str, params: Any, headers: Any = V1) -> Any:
    async with httpx.AsyncClient(base_url=url) as http:
        message = {"jsonrpc": "2.0", "id": "1", "method": method, "params": params}
        return (await http.post(f"/a2a/{agent}", json=message, headers=headers)).json()


def message(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"message": {"role": "ROLE_USER", "messageId": uuid4().hex, "parts": parts, **more}}


async def sent(url: str, agent: str, *parts: Any, **more: Any) -> Task:
    answer = await rpc(url, agent, "SendMessage", message(*parts, **more))
    return ParseDict(answer["result"], SendMessageResponse()).task


async def news(url: str, agent: str, method: str, params: Any) -> list[StreamResponse]:
    call = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    async with httpx.AsyncClient(base_url=url) as http:
        answer = await http.post(f"/a2a/{agent}", json=call, headers=V1)
    lines = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    return [ParseDict(one["result"], StreamResponse()) for one in lines]


async def test_a_card_names_both_versions_and_the_stock_client_takes_the_newer(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        told = (await http.get("/.well-known/agent-card.json", params={"assistant_id": "chat"})).json()
        path = "/.well-known/agent-card.json?assistant_id=chat"
        card = await A2ACardResolver(http, url, agent_card_path=path).get_agent_card()
        client = await create_client(card, ClientConfig(httpx_client=http))

    ParseDict(told, AgentCard(), ignore_unknown_fields=True)
    assert [one.protocol_version for one in card.supported_interfaces] == ["1.0", "0.3"]
    assert type(client._transport).__module__ == "a2a.client.transports.jsonrpc"  # type: ignore[attr-defined]


async def test_a_message_is_answered_with_its_task(url: str) -> None:
    task = await sent(url, "chat", {"text": "hello"})

    assert task.status.state == TaskState.TASK_STATE_COMPLETED
    assert [part.text for part in task.artifacts[0].parts] == ["a b c"]


async def test_a_question_is_answered_in_its_context(url: str) -> None:
    asked = await sent(url, "asks", {"data": {"text": "x"}})
    told = (await rpc(url, "asks", "GetTask", {"id": asked.id}))["result"]

    answered = await sent(url, "asks", {"text": "blue"}, taskId=asked.id)

    assert ParseDict(told, Task()) == asked
    assert asked.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
    assert asked.status.message.parts[0].data.struct_value["question"] == "which?"
    assert answered.status.state == TaskState.TASK_STATE_COMPLETED
    assert answered.context_id == asked.context_id


async def test_a_stream_tells_the_task_then_pieces_then_its_end(url: str) -> None:
    heard = await news(url, "chat", "SendStreamingMessage", message({"text": "hello"}))

    first, *pieces, last = heard
    assert first.HasField("task")
    assert all(one.HasField("artifact_update") for one in pieces)
    assert [part.text for part in pieces[-1].artifact_update.artifact.parts] == ["a b c"]
    assert last.status_update.status.state == TaskState.TASK_STATE_COMPLETED


async def follow(url: str, method: str, task_id: str, began: asyncio.Event) -> list[Any]:
    """What is sent about a task from now on; `began` is set with the first of it."""
    call = {"jsonrpc": "2.0", "id": 7, "method": method, "params": {"id": task_id}}
    heard = []
    async with (
        httpx.AsyncClient(base_url=url) as http,
        http.stream("POST", "/a2a/slow", json=call) as answer,
    ):
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                heard.append(json.loads(line[6:])["result"])
                began.set()
    return heard


async def test_who_subscribes_to_a_task_hears_its_end(url: str) -> None:
    key = uuid4().hex
    params = {**message({"data": {"text": key}}), "configuration": {"returnImmediately": True}}
    begun = (await rpc(url, "slow", "SendMessage", params))["result"]["task"]
    await entrance(key).wait()
    follow_new, follow_old = asyncio.Event(), asyncio.Event()
    new = asyncio.create_task(follow(url, "SubscribeToTask", begun["id"], follow_new))
    old = asyncio.create_task(follow(url, "tasks/resubscribe", begun["id"], follow_old))
    await follow_new.wait()
    await follow_old.wait()

    cancelled = (await rpc(url, "slow", "CancelTask", {"id": begun["id"]}))["result"]
    after = (await rpc(url, "slow", "SubscribeToTask", {"id": begun["id"]}))["error"]

    assert begun["status"]["state"] in ("TASK_STATE_SUBMITTED", "TASK_STATE_WORKING")
    assert cancelled["status"]["state"] == "TASK_STATE_CANCELED"
    assert (await new)[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_CANCELED"
    assert ((await old)[-1]["status"]["state"], (await old)[-1]["final"]) == ("canceled", True)
    assert (after["code"], after["data"][0]["reason"]) == (-32004, "UNSUPPORTED_OPERATION")


async def test_tasks_of_a_context_come_in_pages(url: str) -> None:
    first = await sent(url, "chat", {"text": "one"})
    for said in ("two", "three"):
        await sent(url, "chat", {"text": said}, contextId=first.context_id)

    async def page(**more: Any) -> ListTasksResponse:
        params = {"contextId": first.context_id, **more}
        return ParseDict((await rpc(url, "chat", "ListTasks", params))["result"], ListTasksResponse())

    newest = await page(pageSize=2, includeArtifacts=True)
    oldest = await page(pageSize=2, pageToken=newest.next_page_token)
    failed = await page(status="TASK_STATE_FAILED")
    done = await page(status="TASK_STATE_COMPLETED")

    assert (len(newest.tasks), newest.total_size) == (2, 3)
    assert [one.id for one in oldest.tasks] == [first.id]
    assert oldest.next_page_token == ""
    assert newest.tasks[0].artifacts and not oldest.tasks[0].artifacts
    assert (failed.total_size, done.total_size) == (0, 3)


@pytest.mark.parametrize(
    ("method", "params", "code", "reason"),
    [
        ("GetTask", {"id": str(uuid4())}, -32001, "TASK_NOT_FOUND"),
        ("SendMessage", message({"url": "https://example.com/x.png"}), -32005, "CONTENT_TYPE_NOT_SUPPORTED"),
        ("SendMessage", message({"raw": "AAAA"}), -32005, "CONTENT_TYPE_NOT_SUPPORTED"),
        ("CreateTaskPushNotificationConfig", {}, -32003, "PUSH_NOTIFICATION_NOT_SUPPORTED"),
        ("GetExtendedAgentCard", {}, -32007, "EXTENDED_AGENT_CARD_NOT_CONFIGURED"),
        ("ListTasks", {}, -32004, "UNSUPPORTED_OPERATION"),
    ],
)
async def test_a_refusal_tells_its_reason(url: str, method: str, params: Any, code: int, reason: str) -> None:
    error = (await rpc(url, "chat", method, params))["error"]

    assert (error["code"], error["data"][0]["reason"]) == (code, reason)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"contextId": "no-uuid"}, "UUID"),
        ({"pageSize": 0}, "pageSize"),
        ({"pageToken": "x", "contextId": str(uuid4())}, "pageToken"),
        ({"statusTimestampAfter": "yesterday"}, "statusTimestampAfter"),
    ],
)
async def test_a_page_that_can_not_be_is_refused(url: str, params: Any, said: str) -> None:
    error = (await rpc(url, "chat", "ListTasks", params))["error"]

    assert error["code"] == -32602
    assert said in error["message"]


@pytest.mark.parametrize(
    ("version", "method", "spoken"),
    [
        ("1.0", "SendMessage", True),
        ("1.3", "SendMessage", True),
        ("", "SendMessage", True),
        ("0.3.0", "message/send", True),
        ("0.3", "SendMessage", False),
        ("1.0", "message/send", False),
        ("2.0", "SendMessage", False),
        ("x", "SendMessage", False),
    ],
)
async def test_a_version_is_that_of_the_method(url: str, version: str, method: str, spoken: bool) -> None:
    part = {"kind": "text", "text": "hello"} if method == "message/send" else {"text": "hello"}

    answer = await rpc(url, "chat", method, message(part), {"A2A-Version": version})

    assert answer.get("error", {}).get("code") == (None if spoken else -32009)
