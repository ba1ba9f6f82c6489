"""A thread is read and changed by its graph as the thread's last run had it made: by that configuration."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from api_replicas import Replica, open_replica
from langgraph_sdk.client import LangGraphClient

from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.settings import Settings

RUN: Any = {"configurable": {"node": "of_the_run"}}
ASSISTANT: Any = {"configurable": {"node": "of_the_assistant"}}


@pytest.fixture(scope="session")
async def configured(settings: Settings) -> AsyncIterator[Replica]:
    """A replica whose graphs read their configuration."""
    graphs = {name: GraphSpec(f"api_configured:{name}") for name in ("by_node", "by_edge")}
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
