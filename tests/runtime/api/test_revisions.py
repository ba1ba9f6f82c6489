"""Which revision executed a run, and wrote each checkpoint of a session, is told by them."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from api_graphs import entrance, gate
from api_replicas import Replica, open_replica

from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.settings import Settings

GRAPHS = {
    "works": GraphSpec("api_releases:works_1"),
    "asks": GraphSpec("api_releases:asks_1"),
    "broken": GraphSpec("api_graphs:broken"),
}


def release(settings: Settings, revision: str, **more: Any) -> AbstractAsyncContextManager[Replica]:
    """A replica of a revision; all have the same graphs."""
    named = replace(settings, graphs=GRAPHS, replica_id=f"{revision}-{uuid4()}", revision=revision)
    return open_replica(replace(named, **more))


async def revision_of(replica: Replica, thread: str, run_id: str) -> tuple[str, Any]:
    """How a run ended, and in which revision."""
    run = await replica.client.runs.get(thread, run_id)
    return run["status"], run["metadata"].get("lgs_revision")


async def test_a_run_that_moves_says_which_revision_ended_it_and_its_checkpoints_which_wrote_them(
    alone: Settings,
) -> None:
    async with release(alone, "1") as old:
        thread = (await old.client.threads.create())["thread_id"]
        asked = {"input": {"text": thread}, "metadata": {"lgs_revision": "a client's own word"}}
        run = await old.client.runs.create(thread, "works", durability="sync", **asked)
        await asyncio.wait_for(entrance(thread).wait(), 60)
        await old.services.worker.drain(0)
    gate(thread).set()

    async with release(alone, "2") as new:
        await new.client.runs.join(thread, run["run_id"])
        ended = await revision_of(new, thread, run["run_id"])
        states = await new.client.threads.get_history(thread)
        (version,) = await new.client.http.get(f"/threads/{thread}/versions")

    by_step = {each["metadata"]["step"]: each["metadata"]["lgs_revision"] for each in states}
    latest = states[0]["checkpoint"]["checkpoint_id"]
    assert ended == ("success", "2")
    assert by_step == {-1: "1", 0: "1", 1: "1", 2: "2", 3: "2"}
    assert version["checkpoint_id"] == latest


@pytest.mark.parametrize("sealed", [False, True])
async def test_a_run_that_fails_or_asks_is_marked_too(alone: Settings, sealed: bool) -> None:
    more = {"encryption_path": "support.ciphers:encryption"} if sealed else {}
    async with release(alone, "7", **more) as replica:
        ended = []
        for graph in ("broken", "asks"):
            thread = (await replica.client.threads.create())["thread_id"]
            run = await replica.client.runs.create(thread, graph, input={}, metadata={"team": "a"})
            await replica.client.runs.join(thread, run["run_id"])
            ended.append(await revision_of(replica, thread, run["run_id"]))
        found = await replica.client.runs.get(thread, run["run_id"])

    assert ended == [("error", "7"), ("success", "7")]
    assert found["metadata"]["team"] == "a"


async def test_a_replica_without_a_revision_marks_nothing(alone: Settings) -> None:
    async with release(alone, "") as replica:
        thread = (await replica.client.threads.create())["thread_id"]
        run = await replica.client.runs.create(thread, "asks", input={})
        await replica.client.runs.join(thread, run["run_id"])

        assert (await revision_of(replica, thread, run["run_id"]))[1] is None
        states = await replica.client.threads.get_history(thread)

    assert [each for each in states if "lgs_revision" in each["metadata"]] == []
