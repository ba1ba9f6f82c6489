"""A service whose replicas that answer stand apart from those that execute: what clients keep when one that
they follow is killed, and when none that executes is there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from langgraph_sdk import get_client

from chaos.field import Fleet
from support.leases import LONG_SECONDS
from support.ports import PATIENCE_SECONDS, free_port
from support.postgres import fresh_database
from support.receiver import receiving

STEPS = ["begin", 0, 1, 2, 3, "answer"]


@pytest.fixture(scope="module")
def fleet(
    tmp_path_factory: pytest.TempPathFactory, postgres_service: str, redis_service: str
) -> Iterator[Fleet]:
    """Two replicas that answer, at one port; nobody executes yet."""
    with fresh_database(postgres_service) as uri:
        service = uri.rpartition("/")[2].partition("?")[0]
        fleet = Fleet(
            tmp_path_factory.mktemp("apart"),
            {
                "DATABASE_URI": uri,
                "REDIS_URI": redis_service,
                "LGS_SERVICE": service,
                "LGS_LEASE_SECONDS": str(LONG_SECONDS),
            },
        )
        try:
            fleet.start(2, LGS_ROLE="api")
            fleet.wait_ready()
            yield fleet
        finally:
            fleet.close()


def execute(fleet: Fleet) -> None:
    """Has one replica that executes, at a port of its own."""
    if all(each.role == "api" for each in fleet.replicas):
        fleet.start(port=free_port(), LGS_ROLE="worker")
        fleet.wait_ready()


def asked(**more: Any) -> dict[str, Any]:
    work = {"messages": [], "steps": 4, "step_seconds": 0.4}
    return {"assistant_id": "agent", "input": work, "stream_mode": ["updates"], "durability": "sync", **more}


def steps_of(parts: list[Any]) -> list[Any]:
    """The steps that `updates` events tell of, in their order."""
    updates = [update for part in parts if part.event == "updates" for update in part.data.items()]
    return [each["done"][0] if node == "think" else node for node, each in updates]


async def follow(url: str, thread: str, run: str, after: str, heard: list[Any]) -> None:
    async with get_client(url=url, api_key=None) as client:
        async for part in client.runs.join_stream(thread, run, last_event_id=after):
            heard.append(part)


async def until_step(step: int, heard: list[Any]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while step not in steps_of(heard):
            await asyncio.sleep(0.02)


async def cut(clinging: asyncio.Task[None]) -> None:
    """Ends a follower whose replica is gone, with whatever it has not read yet."""
    clinging.cancel()
    await asyncio.gather(clinging, return_exceptions=True)


async def test_a_stream_that_began_without_anyone_who_executes_brings_each_step_once_one_comes(
    fleet: Fleet,
) -> None:
    heard: list[Any] = []
    async with get_client(url=fleet.url, api_key=None) as client:
        thread = (await client.threads.create())["thread_id"]

        async def listen() -> None:
            async for part in client.runs.stream(thread, **asked()):
                heard.append(part)

        listening = asyncio.create_task(listen())
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await client.runs.list(thread):
                await asyncio.sleep(0.02)
        before = list(heard)
        await asyncio.to_thread(execute, fleet)
        await listening

    assert steps_of(before) == []
    assert steps_of(heard) == STEPS


async def test_who_follows_a_run_misses_nothing_while_each_replica_that_answers_is_killed(
    fleet: Fleet,
) -> None:
    await asyncio.to_thread(execute, fleet)
    first, second = (each for each in fleet.replicas if each.role == "api")
    heard: list[Any] = []
    async with receiving() as receiver:
        async with get_client(url=first.url, api_key=None) as client:
            thread = (await client.threads.create())["thread_id"]
            run = (await client.runs.create(thread, webhook=receiver.url, **asked()))["run_id"]
        for step, dying in enumerate((first, second)):
            after = str(heard[-1].id) if heard else "-1"
            clinging = asyncio.create_task(follow(dying.url, thread, run, after, heard))
            await until_step(step, heard)
            await asyncio.to_thread(fleet.end, dying)
            await cut(clinging)
        told = await receiver.first()
        (back,) = fleet.start(LGS_ROLE="api")
        await asyncio.to_thread(fleet.wait_ready)

        await follow(back.url, thread, run, str(heard[-1].id), heard)

    assert (told["run_id"], told["status"]) == (run, "success")
    assert [part.data["attempt"] for part in heard if part.event == "metadata"] == [1]
    assert steps_of(heard) == STEPS
