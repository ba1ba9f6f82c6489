"""Waited for, streamed or in the background: a run is given the same whichever way it is made."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient

WAYS = ("create", "stream", "wait")
OPTIONS: dict[str, Any] = {
    "input": {"text": "x"},
    "config": {"tags": ["t"], "recursion_limit": 9, "configurable": {"odd": 1}},
    "context": {"model": "large"},
    "interrupt_before": ["second"],
    "interrupt_after": "*",
    "durability": "exit",
    "webhook": "http://127.0.0.1:9/nobody",
    "strict_resume": True,
}
KEPT: dict[str, Any] = {
    **OPTIONS,
    "config": {
        "tags": ["t"],
        "recursion_limit": 9,
        "configurable": {"odd": 1, "model": "large", "graph_id": "steps"},
    },
}


async def made(client: LangGraphClient, way: str, thread_id: str, **options: Any) -> None:
    """Makes the run in this way, and follows it to its end where one does."""
    going: Any = getattr(client.runs, way)(thread_id, "steps", **options)
    if way == "stream":
        [part async for part in going]
    else:
        await going


@pytest.mark.parametrize("way", WAYS)
async def test_a_run_is_given_what_its_maker_said(client: LangGraphClient, way: str) -> None:
    thread_id = (await client.threads.create())["thread_id"]

    await made(client, way, thread_id, **OPTIONS, metadata={"by": "night"}, multitask_strategy="rollback")

    run: Any = (await client.runs.list(thread_id))[0]
    await client.runs.join(thread_id, run["run_id"])
    config = run["kwargs"]["config"]
    ids = {name: config["configurable"].pop(name) for name in ("thread_id", "run_id", "assistant_id")}
    assert ids == {name: run[name] for name in ids}
    assert config.pop("metadata") == run["metadata"]
    assert {name: run["kwargs"].get(name) for name in KEPT} == KEPT
    assert (run["metadata"], run["multitask_strategy"]) == ({**run["metadata"], "by": "night"}, "rollback")


@pytest.mark.parametrize("way", WAYS)
async def test_a_run_waits_for_its_time(client: LangGraphClient, way: str) -> None:
    thread_id = (await client.threads.create())["thread_id"]

    going = asyncio.create_task(made(client, way, thread_id, input={}, after_seconds=3600))

    async with asyncio.timeout(60):
        while not (runs := await client.runs.list(thread_id)):
            await asyncio.sleep(0.05)
    assert [run["status"] for run in runs] == ["pending"]
    await client.runs.cancel(thread_id, runs[0]["run_id"], wait=True)
    await asyncio.wait({going}, timeout=60)
    assert going.done()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore:`checkpoint_during` is deprecated")
async def test_the_old_name_of_durability_counts(client: LangGraphClient, way: str) -> None:
    thread_id = (await client.threads.create())["thread_id"]

    await made(client, way, thread_id, input={}, checkpoint_during=False)

    run: Any = (await client.runs.list(thread_id))[0]
    await client.runs.join(thread_id, run["run_id"])
    assert len(await client.threads.get_history(thread_id)) == 1


async def test_a_background_run_streams_its_subgraphs_when_told_to(client: LangGraphClient) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    run = await client.runs.create(
        thread_id, "nested", input={}, stream_mode="updates", stream_subgraphs=True, stream_resumable=True
    )

    stream = client.runs.join_stream(thread_id, run["run_id"], last_event_id="-1")
    names = [part.event.split(":")[0] async for part in stream]

    assert names == ["metadata", "updates|inner", "updates"]


async def test_a_batch_gives_each_run_its_own(client: LangGraphClient) -> None:
    thread_id = (await client.threads.create())["thread_id"]
    kept = {"on_completion": "keep", "metadata": {"n": 1}}
    batch: Any = [
        {"assistant_id": "settings", "input": {}, "context": {"model": "one"}, **kept},
        {"assistant_id": "steps", "input": {}, "thread_id": thread_id, "interrupt_after": ["first"]},
    ]

    alone, on_thread = await client.runs.create_batch(batch)  # type: ignore[misc]

    told: Any = await client.runs.join(alone["thread_id"], alone["run_id"])
    values: Any = await client.runs.join(on_thread["thread_id"], on_thread["run_id"])
    assert (told["told"]["context"]["model"], alone["metadata"]["n"]) == ("one", 1)
    assert (await client.threads.get(alone["thread_id"]))["status"] == "idle"
    assert (on_thread["thread_id"], values) == (thread_id, {"steps": ["first"]})
