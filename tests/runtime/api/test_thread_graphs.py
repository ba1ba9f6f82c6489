"""A thread is read by the graph that made its state, whatever other graphs' runs wait on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from api_graphs import entrance, gate
from api_replicas import Replica
from langgraph_sdk.client import LangGraphClient

from support.due_runs import LATER_SECONDS, make_due

STEPS = {"steps": ["a", "first", "second"]}


@pytest.fixture
async def thread_id(client: LangGraphClient) -> str:
    """A thread whose state `steps` made."""
    thread_id = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, "steps", input={"steps": ["a"]})
    return thread_id


async def later(client: LangGraphClient, thread_id: str, graph: str = "chat") -> str:
    """Puts a run of another graph on the thread whose time does not come; its id."""
    run = await client.runs.create(thread_id, graph, input={"messages": []}, after_seconds=LATER_SECONDS)
    return run["run_id"]


async def values(client: LangGraphClient, thread_id: str) -> Any:
    """The values of the thread's state."""
    return (await client.threads.get_state(thread_id))["values"]


async def protocol(url: str, thread_id: str, method: str, params: Mapping[str, Any]) -> Any:
    """The answer to a command of protocol v2."""
    async with httpx.AsyncClient(base_url=url) as http:
        command = {"id": 1, "method": method, "params": params}
        answered = await http.post(f"/threads/{thread_id}/commands", json=command)
        return answered.json()


async def test_a_run_of_another_graph_that_waits_leaves_the_thread_its_state(
    client: LangGraphClient, url: str, thread_id: str
) -> None:
    before = await client.threads.get_history(thread_id)

    await later(client, thread_id)

    assert await values(client, thread_id) == STEPS
    assert await client.threads.get_history(thread_id) == before
    assert (await protocol(url, thread_id, "state.get", {}))["result"]["values"] == STEPS


async def test_a_run_of_another_graph_that_was_cancelled_before_it_began_leaves_the_thread_its_state(
    client: LangGraphClient, thread_id: str
) -> None:
    await client.runs.cancel(thread_id, await later(client, thread_id), wait=True)

    await client.threads.update_state(thread_id, {"steps": ["mine"]}, as_node="first")

    state = await client.threads.get_state(thread_id)
    assert (state["values"], state["next"]) == ({"steps": [*STEPS["steps"], "mine"]}, ["second"])


async def test_what_a_node_puts_on_its_own_thread_leaves_it_its_state_and_then_takes_it_over(
    replica: Replica,
) -> None:
    client = replica.client
    thread_id = (await client.threads.create())["thread_id"]
    old = await client.runs.create(thread_id, "slow", input={"text": thread_id, "steps": ["old"]})
    await entrance(thread_id).wait()

    said = {"messages": [{"role": "user", "content": "hi"}]}
    new = await client.runs.create(thread_id, "chat", input=said, after_seconds=LATER_SECONDS)
    behind = (await client.threads.get(thread_id))["metadata"]
    gate(thread_id).set()
    await client.runs.join(thread_id, old["run_id"])
    between = await values(client, thread_id)
    make_due(replica.services.settings, new["run_id"])
    await client.runs.join(thread_id, new["run_id"])
    after = (await client.threads.get(thread_id))["metadata"]

    assert between["steps"] == ["old", "first", "waited", "second"]
    assert (behind["graph_id"], behind["assistant_id"]) == ("slow", old["assistant_id"])
    assert (after["graph_id"], after["assistant_id"]) == ("chat", new["assistant_id"])
    assert (await values(client, thread_id))["messages"]


async def test_each_past_state_is_read_by_the_graph_that_made_it(
    client: LangGraphClient, url: str, thread_id: str
) -> None:
    before = await client.threads.get_history(thread_id)

    run = await client.runs.create(thread_id, "chat", input={"messages": ["hi"]})
    await client.runs.join(thread_id, run["run_id"])

    history = await client.threads.get_history(thread_id, limit=100)
    assert "messages" in history[0]["values"]
    assert history[-len(before) :] == before
    at = before[1]["checkpoint"]["checkpoint_id"]
    state = await client.threads.get_state(thread_id, checkpoint_id=at)
    assert (state["values"], state["next"]) == (before[1]["values"], before[1]["next"])
    listed = await protocol(url, thread_id, "state.listCheckpoints", {"limit": 100})
    assert len(listed["result"]["checkpoints"]) == len(history)


async def test_going_back_to_a_version_of_another_graph_goes_back_to_that_graph(
    client: LangGraphClient, url: str, thread_id: str
) -> None:
    await client.runs.wait(thread_id, "chat", input={"messages": ["hi"]})

    async with httpx.AsyncClient(base_url=url) as http:
        seen = (await http.get(f"/threads/{thread_id}/versions/1")).json()
        back = await http.post(f"/threads/{thread_id}/versions/1/rollback")

    assert seen["values"] == STEPS
    assert back.status_code == 200
    assert await values(client, thread_id) == STEPS
    assert (await client.threads.get(thread_id))["values"] == STEPS


async def test_a_copy_is_read_by_the_graph_that_made_its_state(
    client: LangGraphClient, thread_id: str
) -> None:
    await later(client, thread_id)

    copy = await client.threads.copy(thread_id)

    assert await values(client, copy["thread_id"]) == STEPS  # type: ignore[index]


async def test_a_question_is_answered_by_a_run_of_the_assistant_that_asked(
    client: LangGraphClient, url: str
) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, "asks", input={"steps": []})
    (asked,) = (await client.threads.get_state(thread_id))["interrupts"]
    await later(client, thread_id)

    answered = await protocol(
        url, thread_id, "input.respond", {"interrupt_id": asked["id"], "namespace": [], "response": "yes"}
    )

    found = await client.runs.join(thread_id, answered["result"]["run_id"])
    assert found["steps"][-1] == "second"
