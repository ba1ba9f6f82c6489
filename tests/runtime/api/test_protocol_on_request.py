"""Runs that the plain API starts with the events of protocol v2, for those who follow their thread so."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from langgraph_sdk.client import LangGraphClient

MARK: Any = {"configurable": {"__event_streaming_v2": True}}
SAID = {"messages": [{"role": "user", "content": "hi"}]}


async def heard(url: str, thread_id: str) -> list[Any]:
    """The events of a thread to the end of its run, by protocol v2."""
    told = []
    wanted = {"channels": ["messages", "values", "lifecycle"]}
    async with (
        httpx.AsyncClient(base_url=url, timeout=60) as http,
        http.stream("POST", f"/threads/{thread_id}/stream/events", json=wanted) as answer,
    ):
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                told.append(json.loads(line.removeprefix("data: ")))
                data = told[-1]["params"]["data"]
                if told[-1]["method"] == "lifecycle" and data["event"] in ("completed", "failed"):
                    break
    return told


async def started(client: LangGraphClient, url: str, thread_id: str, way: str) -> None:
    """Starts a run that asks for those events."""
    if way == "alone":
        await client.runs.create(thread_id, "chat", input=SAID, config=MARK)
        return
    one = {"thread_id": thread_id, "assistant_id": "chat", "input": SAID, "config": MARK}
    async with httpx.AsyncClient(base_url=url) as http:
        (await http.post("/runs/batch", json=[one])).raise_for_status()


@pytest.mark.parametrize("way", ["alone", "in a batch"])
async def test_a_run_of_the_plain_api_sends_the_tokens_of_the_protocol_when_asked_to(
    client: LangGraphClient, url: str, way: str
) -> None:
    thread_id = (await client.threads.create())["thread_id"]

    await started(client, url, thread_id, way)

    of_messages = [e["params"]["data"] for e in await heard(url, thread_id) if e["method"] == "messages"]
    assert (of_messages[0]["event"], of_messages[-1]["event"]) == ("message-start", "message-finish")
    deltas = [one["delta"]["text"] for one in of_messages if one["event"] == "content-block-delta"]
    assert "".join(deltas) == "a b c"


async def test_its_input_is_a_new_one_where_the_thread_waits_with_a_question(
    client: LangGraphClient,
) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, "asks", input={})

    again: Any = await client.runs.wait(thread_id, "asks", input={"steps": ["anew"]}, config=MARK)

    assert [one["value"] for one in again["__interrupt__"]] == [{"question": "which?"}]
    assert "anew" in again["steps"]


async def test_the_mark_is_not_kept(client: LangGraphClient) -> None:
    thread_id = (await client.threads.create())["thread_id"]

    run = await client.runs.create(thread_id, "steps", input={}, config=MARK)

    assert "__event_streaming_v2" not in json.dumps(run)
    await client.runs.join(thread_id, run["run_id"])
