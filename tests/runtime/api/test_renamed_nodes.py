"""A node is renamed while sessions stand before it: their runs fail loudly, lose nothing, and go on with code
that has the node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from api_graphs import entrance, gate
from api_replicas import Replica, open_replica
from langgraph_sdk.client import LangGraphClient

from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.settings import Settings

GRAPHS = ("works", "asks", "asks_inside")
NewService = Callable[[str, Callable[[Settings], Settings]], AbstractAsyncContextManager[Replica]]


def release(settings: Settings, number: int) -> AbstractAsyncContextManager[Replica]:
    """A replica of one release."""
    graphs = {"works": GraphSpec(f"api_releases:works_{number}")}
    changed = replace(settings, graphs=graphs, replica_id=f"r{number}-{uuid4()}", revision=f"v{number}")
    return open_replica(changed)


def both_releases(settings: Settings) -> Settings:
    """Each graph as either release has it, by names of their own: a replica of two releases at once."""
    names = [f"{name}_{number}" for name in GRAPHS for number in (1, 2)]
    return replace(settings, graphs={name: GraphSpec(f"api_releases:{name}") for name in names})


@pytest.fixture(scope="module")
async def client(service: NewService) -> AsyncIterator[LangGraphClient]:
    """Of such a replica."""
    async with service("releases", both_releases) as opened:
        yield opened.client


async def begun(client: LangGraphClient, graph: str) -> str:
    """A session that stands before a question."""
    thread: str = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, graph, input={})
    return thread


async def ended(client: LangGraphClient, thread: str, graph: str, **asked: Any) -> str:
    """How a run ends."""
    run = await client.runs.create(thread, graph, **asked)
    await client.runs.join(thread, run["run_id"])
    return (await client.runs.get(thread, run["run_id"]))["status"]


async def error_of(replica: Replica, thread: str, run_id: str) -> str:
    """What a follower of a run receives of its failure."""
    told = [part async for part in replica.client.runs.join_stream(thread, run_id) if part.event == "error"]
    return str(told[-1].data["message"])


async def test_a_run_that_is_handed_to_a_release_without_its_next_node_fails_and_goes_on_after_a_rollback(
    alone: Settings,
) -> None:
    async with release(alone, 1) as old:
        thread = (await old.client.threads.create())["thread_id"]
        run = await old.client.runs.create(thread, "works", input={"text": thread}, durability="sync")
        await asyncio.wait_for(entrance(thread).wait(), 60)
        followed = asyncio.create_task(error_of(old, thread, run["run_id"]))
        await old.services.worker.drain(0)
        async with release(alone, 2) as new:
            said = await asyncio.wait_for(followed, 60)
            failed = await new.client.runs.get(thread, run["run_id"])
            left = await new.client.threads.get(thread)
    gate(thread).set()
    async with release(alone, 1) as back:
        values = await back.client.runs.wait(thread, "works", input=None)

    assert (failed["status"], left["status"], left["values"]["steps"]) == ("error", "error", ["first"])
    assert said.startswith("node 'waits' of graph 'works' not found: checkpoint ")
    assert said.endswith("(revision v2)")
    assert values["steps"] == ["first", "waited", "second"]


@pytest.mark.parametrize("graph", ["asks", "asks_inside"])
async def test_an_answer_that_meets_a_release_without_the_node_that_asked_fails_and_the_question_stays(
    client: LangGraphClient, graph: str
) -> None:
    thread = await begun(client, f"{graph}_1")
    asked = await client.threads.get(thread)

    status = await ended(client, thread, f"{graph}_2", command={"resume": "this"})
    unchanged = await client.threads.get(thread)
    values = await client.runs.wait(thread, f"{graph}_1", command={"resume": "this"})

    assert (status, unchanged["status"]) == ("error", "interrupted")
    assert unchanged["interrupts"] == asked["interrupts"] != {}
    assert values["steps"] == ["first", "told this", "second"]


async def test_in_protocol_v2_such_an_answer_is_not_taken_for_new_input(client: LangGraphClient) -> None:
    thread = await begun(client, "asks_1")

    command = {"assistant_id": "asks_2", "input": {"steps": ["this"]}}
    body = {"id": 1, "method": "run.start", "params": command}
    started = await client.http.post(f"/threads/{thread}/commands", json=body)
    run_id = started["result"]["run_id"]
    await client.runs.join(thread, run_id)
    failed = await client.runs.get(thread, run_id)
    left = await client.threads.get(thread)

    assert (failed["status"], left["status"]) == ("error", "interrupted")
    assert left["values"]["steps"] == ["first"]


async def test_a_session_whose_next_node_is_gone_begins_anew_with_new_input(client: LangGraphClient) -> None:
    thread = await begun(client, "asks_1")

    await client.runs.wait(thread, "asks_2", input={})
    values = await client.runs.wait(thread, "asks_2", command={"resume": "that"})

    assert values["steps"] == ["first", "first", "told that", "second"]


async def test_a_run_without_input_that_would_go_on_at_a_node_that_is_gone_fails(
    client: LangGraphClient,
) -> None:
    thread = await begun(client, "asks_1")

    assert await ended(client, thread, "asks_2", input=None) == "error"
    assert (await client.threads.get(thread))["status"] == "interrupted"


async def test_a_command_that_leads_to_a_node_that_there_is_not_fails(client: LangGraphClient) -> None:
    thread = await begun(client, "asks_1")

    assert await ended(client, thread, "asks_1", command={"goto": "inquire"}) == "error"
    assert (await client.threads.get(thread))["status"] == "interrupted"
