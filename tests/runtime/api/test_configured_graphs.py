"""A thread is read and changed by its graph as the thread's last run had it made: by that configuration."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from api_replicas import Replica, open_replica
from langgraph_sdk.client import LangGraphClient

from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.settings import Settings

RUN: Any = {"configurable": {"node": "of_the_run"}}
NAMES = ("by_node", "by_edge", "by_model", "by_known_model", "by_rule")
ASSISTANT: Any = {"configurable": {"node": "of_the_assistant"}}


@pytest.fixture(scope="session")
async def configured(settings: Settings) -> AsyncIterator[Replica]:
    """A replica whose graphs read their configuration."""
    graphs = {name: GraphSpec(f"api_configured:{name}") for name in NAMES}
    async with open_replica(replace(settings, graphs=graphs, replica_id="configured", port=0)) as opened:
        yield opened


@pytest.fixture
def client(configured: Replica) -> LangGraphClient:
    return configured.client


async def stopped(client: LangGraphClient, assistant: str, node: str, config: Any = None) -> str:
    """A thread that stopped before its graph's only node."""
    thread_id = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, assistant, input={"nodes": []}, config=config, interrupt_before=[node])
    return thread_id


async def of_an_assistant(client: LangGraphClient) -> str:
    """An assistant with a configuration."""
    return (await client.assistants.create("by_node", config=ASSISTANT))["assistant_id"]


async def check(client: LangGraphClient, thread_id: str, node: str) -> None:
    """The thread waits for `node`, in its state and its history, and is changed as by it."""
    state = await client.threads.get_state(thread_id)
    assert (state["next"], [task["name"] for task in state["tasks"]]) == ([node], [node])
    assert (await client.threads.get_history(thread_id))[0]["next"] == [node]

    await client.threads.update_state(thread_id, {"nodes": ["by hand"]}, as_node=node)

    state = await client.threads.get_state(thread_id)
    assert (state["values"], state["next"]) == ({"nodes": ["by hand"]}, [])


async def test_a_thread_waits_for_a_node_that_its_run_s_configuration_made(client: LangGraphClient) -> None:
    await check(client, await stopped(client, "by_node", "of_the_run", RUN), "of_the_run")


async def test_a_thread_waits_for_a_node_that_its_assistant_s_configuration_made(
    client: LangGraphClient,
) -> None:
    thread_id = await stopped(client, await of_an_assistant(client), "of_the_assistant")

    await check(client, thread_id, "of_the_assistant")


async def test_a_run_s_configuration_wins_over_its_assistant_s(client: LangGraphClient) -> None:
    thread_id = await stopped(client, await of_an_assistant(client), "of_the_run", RUN)

    await check(client, thread_id, "of_the_run")


async def test_a_run_that_never_began_leaves_the_graph_as_it_was_made(client: LangGraphClient) -> None:
    thread_id = await stopped(client, "by_node", "of_the_run", RUN)
    later: Any = {"configurable": {"node": "later"}}
    waiting = await client.runs.create(thread_id, "by_node", config=later, after_seconds=3600)

    await client.runs.cancel(thread_id, waiting["run_id"], wait=True)

    await check(client, thread_id, "of_the_run")


async def test_a_thread_whose_runs_are_gone_is_read_by_its_own_configuration(client: LangGraphClient) -> None:
    thread_id = await stopped(client, await of_an_assistant(client), "of_the_assistant")
    for run in await client.runs.list(thread_id):
        await client.runs.delete(thread_id, run["run_id"])

    await check(client, thread_id, "of_the_assistant")


async def test_an_edge_that_reads_the_configuration_finds_it_in_a_change_by_hand(
    client: LangGraphClient,
) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    config: Any = {"configurable": {"then": "right"}}
    await client.runs.wait(thread_id, "by_edge", input={"nodes": []}, config=config)

    await client.threads.update_state(thread_id, {"nodes": []}, as_node="first")

    assert (await client.threads.get_state(thread_id))["next"] == ["right"]


async def test_many_runs_may_wait_before_the_one_that_made_the_graph(
    client: LangGraphClient,
) -> None:
    thread_id = await stopped(client, "by_node", "of_the_run", RUN)
    later: Any = {"configurable": {"node": "later"}}
    for _ in range(11):
        await client.runs.create(
            thread_id, "by_node", config=later, after_seconds=3600, multitask_strategy="enqueue"
        )

    assert (await client.threads.get_state(thread_id))["next"] == ["of_the_run"]

    await client.threads.delete(thread_id)


async def refused(client: LangGraphClient, thread_id: str, assistant: str, model: str) -> None:
    """A run that failed before it began, because the factory does not take its model."""
    config: Any = {"configurable": {"model": model}}
    said: Any = await client.runs.wait(
        thread_id, assistant, input={"nodes": []}, config=config, raise_error=False
    )
    assert said["__error__"] == {"error": "Refused", "message": f"there is no model {model}"}


async def test_a_run_that_its_factory_refused_leaves_the_thread_readable(client: LangGraphClient) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    config: Any = {"configurable": {"model": "large"}}
    await client.runs.wait(
        thread_id, "by_model", input={"nodes": []}, config=config, interrupt_before=["large"]
    )

    await refused(client, thread_id, "by_model", "nonesuch")

    assert (await client.threads.get_state(thread_id))["next"] == ["large"]
    assert (await client.threads.get_history(thread_id))[0]["next"] == ["large"]
    await client.threads.update_state(thread_id, {"nodes": ["by hand"]}, as_node="large")
    assert (await client.threads.get_state(thread_id))["values"] == {"nodes": ["by hand"]}


async def test_a_thread_that_had_no_other_run_is_read_by_what_the_factory_makes_of_nothing(
    client: LangGraphClient,
) -> None:
    thread_id = (await client.threads.create())["thread_id"]

    await refused(client, thread_id, "by_model", "nonesuch")

    assert (await client.threads.get_state(thread_id))["values"] == {}
    assert await client.threads.get_history(thread_id) == []
    await client.threads.update_state(thread_id, {"nodes": ["by hand"]}, as_node="usual")
    assert (await client.threads.get_state(thread_id))["values"] == {"nodes": ["by hand"]}


async def test_a_factory_that_fails_for_every_configuration_is_answered_in_its_words(
    configured: Replica,
) -> None:
    thread_id = (await configured.client.threads.create())["thread_id"]
    await refused(configured.client, thread_id, "by_known_model", "no such one")
    words = "graph by_known_model: Refused: there is no model no"
    thread = f"/threads/{thread_id}"

    async with httpx.AsyncClient(base_url=configured.url) as http:
        answers = [
            await http.get(f"{thread}/state"),
            await http.post(f"{thread}/history", json={}),
            await http.post(f"{thread}/state", json={"values": {"nodes": []}}),
            await http.get("/assistants/by_known_model/graph"),
            await http.get("/assistants/by_known_model/schemas"),
            await http.get("/assistants/by_known_model/subgraphs"),
        ]

    assert [answer.status_code for answer in answers] == [502] * 6
    assert [answer.json()["detail"] for answer in answers] == [f"{words} such one"] * 3 + [f"{words}ne"] * 3


@pytest.mark.parametrize(
    ("given", "words"),
    [("too much", "the reducer takes no more"), ("lost", "the edge leads nowhere")],
)
async def test_what_a_graph_raises_at_a_change_by_hand_is_answered_in_its_words(
    configured: Replica, given: str, words: str
) -> None:
    client = configured.client
    thread_id = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread_id, "by_rule", input={"nodes": []})
    before = await client.threads.get_state(thread_id)
    change = {"values": {"nodes": [given]}, "as_node": "first"}
    history = {"metadata": {"graph_id": "by_rule"}, "supersteps": [{"updates": [change]}]}

    async with httpx.AsyncClient(base_url=configured.url) as http:
        alone = await http.post(f"/threads/{thread_id}/state", json=change)
        together = await http.post("/threads", json=history)

    expected = (502, {"detail": f"graph by_rule: Refused: {words}"})
    assert (alone.status_code, alone.json()) == (together.status_code, together.json()) == expected
    after = await client.threads.get_state(thread_id)
    assert (after["values"], after["checkpoint"]) == (before["values"], before["checkpoint"])
