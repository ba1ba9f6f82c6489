"""What a run answers of its values: only what its graph's output schema has, on every way; the state, which
is for those who manage the thread, is whole. A graph whose values are no object answers them as they
are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from api_graphs import entrance, gate
from api_replicas import Replica
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import Command
from langgraph_sdk.client import LangGraphClient
from mcp import Client

from support.receiver import Receiver, receiving

pytestmark = pytest.mark.usefixtures("unhurried")
WHOLE = {"question": "q", "answer": "42", "notes": ["secret", "spoken"]}
TOLD = {"answer": "42"}
ASK = {"question": "q"}
PRIVATE = ["private", "private_factory"]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


async def new_thread(client: LangGraphClient) -> str:
    return (await client.threads.create())["thread_id"]


async def streamed(client: LangGraphClient, thread: str | None, graph: str, modes: Any) -> list[Any]:
    parts = client.runs.stream(thread, graph, input=ASK, stream_mode=modes)  # type: ignore[call-overload]
    return [part async for part in parts]


@pytest.mark.parametrize("graph", PRIVATE)
async def test_who_waits_for_a_run_gets_its_graphs_output(client: LangGraphClient, graph: str) -> None:
    thread = await new_thread(client)

    assert await client.runs.wait(thread, graph, input=ASK) == TOLD
    assert await client.runs.wait(None, graph, input=ASK) == TOLD


@pytest.mark.parametrize("graph", PRIVATE)
async def test_who_joins_after_the_end_gets_the_output_on_any_replica(
    client: LangGraphClient, other: Replica, graph: str
) -> None:
    thread = await new_thread(client)
    run = await client.runs.create(thread, graph, input=ASK)
    await client.runs.join(thread, run["run_id"])

    assert await client.runs.join(thread, run["run_id"]) == TOLD
    assert await other.client.runs.join(thread, run["run_id"]) == TOLD


async def test_an_earlier_runs_output_is_told_after_the_thread_went_on(client: LangGraphClient) -> None:
    thread = await new_thread(client)
    run = await client.runs.create(thread, "private", input=ASK)
    await client.runs.join(thread, run["run_id"])

    await client.threads.update_state(thread, {"answer": "43"})

    assert await client.runs.join(thread, run["run_id"]) == TOLD


@pytest.mark.parametrize("graph", PRIVATE)
@pytest.mark.parametrize("stateless", [True, False])
async def test_streams_tell_the_output(client: LangGraphClient, graph: str, stateless: bool) -> None:
    thread = None if stateless else await new_thread(client)

    parts = await streamed(client, thread, graph, ["values", "updates"])

    assert [part.data for part in parts if part.event == "values"] == [TOLD]
    assert [part.data for part in parts if part.event == "updates"] == [{"think": None}, {"speak": TOLD}]


async def test_the_output_is_told_beside_events_too(client: LangGraphClient) -> None:
    parts = await streamed(client, await new_thread(client), "private", ["values", "updates", "events"])

    assert [part.data for part in parts if part.event == "values"] == [TOLD]
    assert [part.data for part in parts if part.event == "updates"] == [{"think": None}, {"speak": TOLD}]


async def test_a_subgraphs_values_are_its_output(client: LangGraphClient) -> None:
    thread = await new_thread(client)
    parts = client.runs.stream(
        thread, "private_inside", input=ASK, stream_mode="values", stream_subgraphs=True
    )

    inner = [part.data async for part in parts if part.event.startswith("values|inner")]

    assert inner == [TOLD]


async def test_checkpoints_tasks_state_and_thread_are_whole(client: LangGraphClient) -> None:
    thread = await new_thread(client)
    parts = await streamed(client, thread, "private", ["checkpoints", "tasks"])

    checkpoints = [part.data["values"] for part in parts if part.event == "checkpoints"]
    results = [part.data["result"] for part in parts if part.event == "tasks" and "result" in part.data]
    assert checkpoints[-1] == WHOLE
    assert results[0] == {"notes": ["secret"]}
    assert (await client.threads.get_state(thread))["values"] == WHOLE
    assert (await client.threads.get_history(thread))[0]["values"] == WHOLE
    assert (await client.threads.get(thread))["values"] == WHOLE


async def test_a_question_is_told_without_what_is_private_and_so_is_the_end(client: LangGraphClient) -> None:
    thread = await new_thread(client)

    asked: Any = await client.runs.wait(thread, "private_asks", input=ASK)
    run = (await client.runs.list(thread))[0]
    joined: Any = await client.runs.join(thread, run["run_id"])
    answered = await client.runs.wait(thread, "private_asks", command={"resume": "it"})

    assert set(asked) == set(joined) == {"__interrupt__"}
    assert asked["__interrupt__"][0]["value"] == "which?"
    assert answered == {"answer": "told it"}


async def test_a_question_of_a_run_alone_is_told_without_what_is_private(client: LangGraphClient) -> None:
    asked: Any = await client.runs.wait(None, "private_asks", input=ASK)

    assert set(asked) == {"__interrupt__"}


async def test_a_run_that_is_stopped_answers_its_output(client: LangGraphClient, other: Replica) -> None:
    thread, key = await new_thread(client), str(uuid4())
    await client.runs.wait(thread, "private", input=ASK)
    run = await client.runs.create(thread, "private_waits", input={"question": key})
    await entrance(key).wait()

    await client.runs.cancel(thread, run["run_id"], wait=True)

    assert await client.runs.join(thread, run["run_id"]) == TOLD
    assert await other.client.runs.join(thread, run["run_id"]) == TOLD


@pytest.mark.parametrize("graph", PRIVATE)
async def test_a_run_that_never_began_answers_the_output_of_those_before(
    client: LangGraphClient, graph: str
) -> None:
    thread, key = await new_thread(client), str(uuid4())
    await client.runs.wait(thread, graph, input=ASK)
    busy = await client.runs.create(thread, "private_waits", input={"question": key})
    await entrance(key).wait()
    waiting = await client.runs.create(thread, graph, input=ASK, multitask_strategy="enqueue")

    await client.runs.cancel(thread, waiting["run_id"])
    gate(key).set()
    await client.runs.join(thread, busy["run_id"])

    assert await client.runs.join(thread, waiting["run_id"]) == {"answer": "waited"}


async def test_a_webhook_is_told_the_output(client: LangGraphClient, receiver: Receiver) -> None:
    await client.runs.wait(None, "private", input=ASK, webhook=receiver.url)

    assert (await receiver.first())["values"] == TOLD


@pytest.mark.parametrize("graph", ["private_asks", "private_fails"])
async def test_a_webhook_is_told_nothing_private_of_a_run_that_asks_or_fails(
    client: LangGraphClient, receiver: Receiver, graph: str
) -> None:
    thread = await new_thread(client)
    await client.runs.wait(thread, graph, input=ASK, webhook=receiver.url, raise_error=False)

    assert (await receiver.first())["values"] == {}


async def test_a_tool_of_mcp_gives_the_output(url: str) -> None:
    async with Client(f"{url}/mcp") as tools:
        result = await tools.call_tool("private", ASK)

    assert result.structured_content == TOLD


async def test_an_agent_of_a2a_gives_the_output(url: str) -> None:
    part = {"kind": "data", "data": ASK}
    said = {"kind": "message", "role": "user", "messageId": uuid4().hex, "parts": [part]}
    call = {"jsonrpc": "2.0", "id": "1", "method": "message/send", "params": {"message": said}}
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        task = (await http.post("/a2a/private", json=call)).json()["result"]

    assert [part["data"] for part in task["artifacts"][0]["parts"]] == [TOLD]


async def test_a_remote_graph_gives_what_the_graph_itself_would(client: LangGraphClient) -> None:
    remote: Any = RemoteGraph("private", client=client)
    asks: Any = RemoteGraph("private_asks", client=client)
    config: Any = {"configurable": {"thread_id": await new_thread(client)}}

    assert await remote.ainvoke(ASK) == TOLD
    assert [chunk async for chunk in remote.astream(ASK, stream_mode="values")] == [TOLD]
    assert set(await asks.ainvoke(ASK, config)) == {"__interrupt__"}
    assert await asks.ainvoke(Command(resume="it"), config) == {"answer": "told it"}


async def test_who_follows_a_thread_hears_the_output(client: LangGraphClient) -> None:
    thread = await new_thread(client)
    await client.runs.wait(thread, "private", input=ASK)

    news = await client.threads.join_stream(thread, last_event_id="-1", stream_mode="state_update")

    assert (await anext(news)).data["values"] == TOLD


async def test_messages_are_told_although_other_channels_are_private(client: LangGraphClient) -> None:
    said = {"messages": [{"role": "user", "content": "hi", "id": "asked"}]}

    values: Any = await client.runs.wait(None, "shy", input=said)

    assert list(values) == ["messages"]
    assert [one["id"] for one in values["messages"]] == ["asked", "said"]


async def test_values_that_are_no_object_are_answered_as_they_are(
    client: LangGraphClient, other: Replica
) -> None:
    thread = await new_thread(client)

    assert await client.runs.wait(thread, "number", input=3) == 7  # type: ignore[arg-type]
    run = (await client.runs.list(thread))[0]
    assert await client.runs.join(thread, run["run_id"]) == 7
    assert await other.client.runs.join(thread, run["run_id"]) == 7
    assert await client.runs.wait(None, "number", input=3) == 7  # type: ignore[arg-type]
    assert (await client.threads.get(thread))["values"] == 7
    assert (await client.threads.get_state(thread))["values"] == 7
    assert await client.runs.wait(None, "listed", input=["a"]) == ["a", "added"]  # type: ignore[arg-type]


async def test_a_workflow_that_stops_before_it_returned_anything_has_given_nothing_out(
    client: LangGraphClient, other: Replica
) -> None:
    thread = await new_thread(client)
    three: Any = 3

    stopped = await client.runs.wait(thread, "number", input=three, interrupt_before="*")
    run = (await client.runs.list(thread))[0]
    joined = [await each.runs.join(thread, run["run_id"]) for each in (client, other.client)]
    alone = await client.runs.wait(None, "number", input=three, interrupt_before="*")
    nothing = await client.runs.wait(None, "gives_none", input=three)

    assert [stopped, *joined, alone] == [{}] * 4
    assert nothing is None
    gone_on: Any = await client.runs.wait(thread, "number")
    assert gone_on == 7
    earlier: Any = await client.runs.join(thread, run["run_id"])
    assert earlier == {}


async def test_a_question_where_values_are_no_object_is_all_that_is_answered(client: LangGraphClient) -> None:
    thread = await new_thread(client)

    asked: Any = await client.runs.wait(thread, "number_asks", input=3)  # type: ignore[arg-type]
    answered = await client.runs.wait(thread, "number_asks", command={"resume": 4})

    assert [one["value"] for one in asked.pop("__interrupt__")] == ["how much more?"]
    assert asked == {}
    assert answered == 7


async def test_a_webhook_is_told_values_that_are_no_object_as_they_are(
    client: LangGraphClient, receiver: Receiver
) -> None:
    await client.runs.wait(None, "number", input=3, webhook=receiver.url)  # type: ignore[arg-type]

    assert (await receiver.first())["values"] == 7
