"""The stream of a thread: its runs one after the other, to come, from the start, or from where one was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from api_graphs import entrance, gate
from api_replicas import Replica
from langgraph_sdk.client import LangGraphClient

from support.waiting import until

pytestmark = pytest.mark.usefixtures("unhurried")


async def until_done(stream: AsyncIterator[Any], runs: int = 1) -> list[Any]:
    """The parts of a thread's stream until so many runs have ended in it."""
    parts: list[Any] = []
    async with asyncio.timeout(60):
        async for part in stream:
            parts.append(part)
            runs -= part.event == "metadata" and part.data.get("status") == "run_done"
            if not runs:
                break
    await stream.aclose()  # type: ignore[attr-defined]
    return parts


def follow(client: LangGraphClient, thread: str, **more: Any) -> Any:
    return client.http.stream(
        f"/threads/{thread}/stream",
        "GET",
        params={"stream_mode": more.pop("stream_mode", "run_modes")},
        headers={"Last-Event-ID": more["after"]} if "after" in more else {},
    )


async def test_the_runs_of_a_thread_are_heard_one_after_the_other(
    client: LangGraphClient, other: Replica
) -> None:
    thread = (await client.threads.create())["thread_id"]
    runs = [await client.runs.create(thread, "steps", input={"text": str(n)}) for n in range(2)]

    parts = await until_done(await other.client.threads.join_stream(thread, last_event_id="-1"), runs=2)

    begun = [part.data["run_id"] for part in parts if "attempt" in (part.data or {})]
    done = [part.data["run_id"] for part in parts if (part.data or {}).get("status") == "run_done"]
    assert begun == done == [run["run_id"] for run in runs]
    assert parts[-2].data["text"] == "1"


async def test_a_listener_without_an_id_hears_what_is_to_come(
    client: LangGraphClient, replica: Replica
) -> None:
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "steps", input={"text": "past"})
    run = await client.runs.create(thread, "slow", input={"text": thread})
    await entrance(thread).wait()

    listening = asyncio.create_task(until_done(follow(client, thread), runs=2))
    await until(lambda: thread in replica.services.notifier.followed, "nobody listens")
    then = await client.runs.create(thread, "steps", input={"text": "next"})
    gate(thread).set()
    parts = await listening

    done = [part.data for part in parts if (part.data or {}).get("status") == "run_done"]
    assert [data["run_id"] for data in done] == [run["run_id"], then["run_id"]]
    assert done[0]["run_status"] == "success"


async def test_a_listener_that_comes_back_misses_and_repeats_nothing(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    for n in range(3):
        await client.runs.wait(thread, "steps", input={"text": str(n)})
    whole = await until_done(follow(client, thread, after="-1"), runs=3)

    for at in range(len(whole) - 1):
        left = sum((part.data or {}).get("status") == "run_done" for part in whole[at + 1 :])
        again = await until_done(follow(client, thread, after=whole[at].id), runs=left)
        assert [part.id for part in again] == [part.id for part in whole[at + 1 :]]


async def test_a_listener_may_want_beginnings_and_ends_or_values_only(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "steps", input={"text": "x"})

    life = await until_done(follow(client, thread, after="-1", stream_mode="lifecycle"))
    both = await until_done(follow(client, thread, after="-1", stream_mode=["lifecycle", "state_update"]))

    assert [part.event for part in life] == ["metadata", "metadata"]
    assert [part.event for part in both] == ["metadata", "state_update", "metadata"]
    assert both[1].data["values"]["steps"] == ["first", "second"]


async def test_what_a_listener_wants_may_be_said_as_langgraphs_own_server_takes_it(
    client: LangGraphClient, url: str
) -> None:
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "steps", input={"text": "x"})
    wanted = {"params": {"stream_modes": "lifecycle,state_update"}, "headers": {"Last-Event-ID": "-1"}}

    told: list[str] = []
    async with (
        httpx.AsyncClient(base_url=url) as raw,
        raw.stream("GET", f"/threads/{thread}/stream", **wanted) as parts,
    ):
        async for line in parts.aiter_lines():
            told += [line.removeprefix("event: ").strip()] if line.startswith("event: ") else []
            if told.count("metadata") == 2:
                break

    assert told == ["metadata", "state_update", "metadata"]


async def test_a_run_that_waits_for_its_time_does_not_hold_the_stream_up(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    later = await client.runs.create(thread, "steps", input={}, after_seconds=3600)
    now = await client.runs.create(thread, "steps", input={"text": "now"})

    parts = await until_done(follow(client, thread, after="-1"))

    assert parts[-1].data["run_id"] == now["run_id"]
    await client.runs.cancel(thread, later["run_id"])


async def test_the_stream_ends_with_its_thread(client: LangGraphClient, replica: Replica) -> None:
    thread = (await client.threads.create())["thread_id"]
    listening = asyncio.create_task(_all(follow(client, thread)))
    await until(lambda: thread in replica.services.notifier.followed, "nobody listens")

    await client.threads.delete(thread)

    async with asyncio.timeout(60):
        await asyncio.wait({listening})


async def _all(stream: AsyncIterator[Any]) -> list[Any]:
    return [part async for part in stream]
