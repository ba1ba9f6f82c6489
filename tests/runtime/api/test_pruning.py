"""A thread keeps its newest versions and everything they need; what only older ones needed goes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from api_graphs import entrance, gate
from api_replicas import Replica, open_replica

from lgs_runtime.background.pruning import Pruner
from lgs_runtime.settings import Settings


@pytest.fixture
async def small(alone: Settings) -> AsyncIterator[Replica]:
    """A replica that keeps two versions of a thread."""
    async with open_replica(replace(alone, versions_limit=2)) as opened:
        yield opened


async def ran(replica: Replica, graph: str, times: int, **run: Any) -> str:
    """A thread on which so many runs have ended."""
    thread_id = str((await replica.client.threads.create())["thread_id"])
    for _ in range(times):
        await replica.client.runs.wait(thread_id, graph, **(run or {"input": {"text": "a"}}))
    return thread_id


async def asked(replica: Replica, path: str) -> Any:
    """The answer to a GET."""
    async with httpx.AsyncClient(base_url=replica.url) as http:
        return (await http.get(path)).json()


async def checkpoints(replica: Replica, thread_id: str) -> list[Any]:
    """The checkpoints of a thread in all namespaces."""
    saver = replica.services.checkpointer
    return [entry async for entry in saver.alist({"configurable": {"thread_id": thread_id}})]


async def test_the_oldest_versions_go_with_what_only_they_needed(small: Replica) -> None:
    thread_id = await ran(small, "steps", 5)
    before = await asked(small, f"/threads/{thread_id}/storage")
    oldest_kept = (await asked(small, f"/threads/{thread_id}/versions"))[1]

    assert await Pruner(small.services).prune_once() == 1

    kept = await asked(small, f"/threads/{thread_id}/versions")
    assert [version["version"] for version in kept] == [5, 4]
    after = await asked(small, f"/threads/{thread_id}/storage")
    assert (before["checkpoints"]["count"], after["checkpoints"]["count"]) == (20, 5)
    assert 0 < after["total_bytes"] < before["total_bytes"]
    assert after["channel_values"]["count"] <= before["channel_values"]["count"]
    history = await small.client.threads.get_history(thread_id, limit=100)
    assert len(history) == 5
    assert history[-1]["checkpoint"]["checkpoint_id"] == oldest_kept["checkpoint_id"]
    assert history[-1]["values"]["steps"] == ["first", "second"] * 4  # type: ignore[call-overload]
    assert (await asked(small, f"/threads/{thread_id}/versions/1"))["detail"].startswith("version 1 of")
    assert await Pruner(small.services).prune_once() == 0


async def test_a_pruned_thread_goes_on_and_goes_back(small: Replica) -> None:
    thread_id = await ran(small, "steps", 4)
    await Pruner(small.services).prune_once()

    onward = await small.client.runs.wait(thread_id, "steps", input={"text": "b"})
    async with httpx.AsyncClient(base_url=small.url) as http:
        back = await http.post(f"/threads/{thread_id}/versions/3/rollback")

    assert onward["steps"] == ["first", "second"] * 5  # type: ignore[call-overload]
    assert back.json()["version"] == 6
    state = await small.client.threads.get_state(thread_id)
    assert state["values"]["steps"] == ["first", "second"] * 3  # type: ignore[call-overload]
    await Pruner(small.services).prune_once()
    assert [one["version"] for one in await asked(small, f"/threads/{thread_id}/versions")] == [6, 5]
    assert (await small.client.threads.get_state(thread_id))["values"] == state["values"]


async def test_checkpoints_of_subgraphs_go_with_those_they_belong_to(small: Replica) -> None:
    once = await ran(small, "nested", 4)
    remembered = await ran(small, "remembers", 4)

    await Pruner(small.services).prune_once()

    spaces = [entry.config["configurable"]["checkpoint_ns"] for entry in await checkpoints(small, once)]
    assert len({space for space in spaces if space}) <= 1
    onward = await small.client.runs.wait(remembered, "remembers", input={"text": "b"})
    inner = [
        entry.checkpoint["channel_values"]["steps"]
        for entry in await checkpoints(small, remembered)
        if entry.config["configurable"]["checkpoint_ns"] == "inner"
    ]
    assert inner[0].count("child") > 4
    assert "child" in onward["steps"]  # type: ignore[call-overload]


async def test_what_a_run_is_about_to_start_from_stays(small: Replica) -> None:
    key = str(uuid4())
    gate(key).set()
    thread_id = await ran(small, "slow", 3, input={"text": key})
    gate(key).clear()
    entrance(key).clear()
    first = (await asked(small, f"/threads/{thread_id}/versions"))[-1]
    running = await small.client.runs.create(thread_id, "slow", input={"text": key})
    await entrance(key).wait()
    forked = await small.client.runs.create(
        thread_id, "slow", input={"text": key}, checkpoint_id=first["checkpoint_id"]
    )

    await Pruner(small.services).prune_once()

    gate(key).set()
    await small.client.runs.join(thread_id, running["run_id"])
    left = await small.client.runs.join(thread_id, forked["run_id"])
    assert left["steps"] == ["first", "waited", "second"] * 2  # type: ignore[call-overload]
