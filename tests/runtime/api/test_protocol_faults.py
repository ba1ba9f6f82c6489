"""Streams over HTTP and WebSockets while Redis fails, protocol v2's before all: they go on where their run
executes, and send the end everywhere."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from api_graphs import entrance, gate
from api_replicas import Replica, open_replica, settings_of

from lgs_runtime.streams.redis import RedisBroker
from runtime.api.test_protocol import (
    EVERYTHING,
    Event,
    command,
    hear,
    is_end,
    listening,
    lives,
    say,
    socket,
    start,
    until_the_end,
)
from support.redis import RedisServer
from support.unhurried import patience

NODES = ["first", "waits", "second"]
LEFT = ["first", "waited", "second"]


@pytest.fixture
def patient(request: pytest.FixtureRequest) -> Iterator[None]:
    """A Redis that is not frozen is not taken for one that is because the machine stands still."""
    given = getattr(request.node, "callspec", None)
    with nullcontext() if given and given.params.get("fault") is freeze else patience():
        yield


@pytest.fixture
async def two(
    patient: None, redis_server: RedisServer, tmp_path: Path
) -> AsyncIterator[tuple[Replica, Replica]]:
    """Two replicas, of which the first executes all runs."""
    uris = {"database_uri": f"sqlite:///{tmp_path}/lgs.db", "redis_uri": redis_server.uri}
    settings = settings_of(tmp_path, uris)
    async with AsyncExitStack() as stack:
        here, there = [
            await stack.enter_async_context(open_replica(replace(settings, replica_id=name)))
            for name in ("here", "there")
        ]
        await there.services.worker.drain(0)
        yield here, there
        if redis_server.alive():
            os.kill(redis_server.pid, signal.SIGCONT)


async def stop(server: RedisServer) -> None:
    await asyncio.to_thread(server.stop)


async def used_again(*replicas: Replica) -> None:
    """Until each has found that Redis is back; what it sends before reaches nobody elsewhere."""
    async with asyncio.timeout(90):
        for each in replicas:
            assert isinstance(each.services.streams, RedisBroker)
            while each.services.streams.away:
                await asyncio.sleep(0.01)


async def restart(server: RedisServer) -> None:
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)


async def freeze(server: RedisServer) -> None:
    os.kill(server.pid, signal.SIGSTOP)


Fault = Callable[[RedisServer], Awaitable[None]]


@asynccontextmanager
async def on_a_socket(url: str, thread: str) -> AsyncIterator[AsyncIterator[Event]]:
    """As `listening`, by a WebSocket."""

    async def events(connection: object) -> AsyncIterator[Event]:
        async for message in connection:  # type: ignore[attr-defined]
            if (event := orjson.loads(message)).get("type") == "event":
                yield event

    async with socket(url, thread) as connection:
        await say(
            connection, {"id": 1, "method": "subscription.subscribe", "params": {"channels": EVERYTHING}}
        )
        yield events(connection)


WAYS = pytest.mark.parametrize(
    ("listen", "fault"),
    [(listening, stop), (listening, restart), (listening, freeze), (on_a_socket, stop)],
    ids=["http-stop", "http-restart", "http-freeze", "socket-stop"],
)


async def in_the_middle(replica: Replica) -> str:
    """A thread whose run waits in its second node."""
    thread = str(uuid4())
    await start(replica.url, thread, "slow", {"text": thread})
    await entrance(thread).wait()
    return thread


async def first_node(events: AsyncIterator[Event]) -> list[Event]:
    heard: list[Event] = []
    async with asyncio.timeout(60):
        async for event in events:
            heard.append(event)
            if event["method"] == "updates":
                break
    return heard


def nodes(events: list[Event]) -> list[str]:
    return [event["params"]["data"]["node"] for event in events if event["method"] == "updates"]


def in_order(events: list[Event]) -> bool:
    numbers = [event["seq"] for event in events]
    return numbers == sorted(numbers)


@WAYS
async def test_where_the_run_executes_no_event_is_lost_and_none_comes_twice(
    two: tuple[Replica, Replica], redis_server: RedisServer, fault: Fault, listen: Callable[..., object]
) -> None:
    here = two[0]
    thread = await in_the_middle(here)
    async with listen(here.url, thread) as events:  # type: ignore[attr-defined]
        heard = await first_node(events)
        await fault(redis_server)
        gate(thread).set()
        heard += await until_the_end(events)

    assert nodes(heard) == NODES
    assert lives(heard)[-1] == ([], "completed")
    assert in_order(heard)
    ids = [event["event_id"] for event in heard]
    assert len(ids) == len(set(ids))


@WAYS
async def test_elsewhere_the_end_and_the_state_it_left_are_told(
    two: tuple[Replica, Replica], redis_server: RedisServer, fault: Fault, listen: Callable[..., object]
) -> None:
    here, there = two
    thread = await in_the_middle(here)
    async with listen(there.url, thread) as events:  # type: ignore[attr-defined]
        heard = await first_node(events)
        await fault(redis_server)
        gate(thread).set()
        heard += await until_the_end(events)

    values = [event["params"]["data"] for event in heard if event["method"] == "values"]
    assert lives(heard)[-1] == ([], "completed")
    assert values[-1]["steps"] == LEFT
    assert in_order(heard)


async def test_who_comes_back_after_redis_was_away_goes_on_where_they_were(
    two: tuple[Replica, Replica], redis_server: RedisServer
) -> None:
    here = two[0]
    thread = await in_the_middle(here)
    async with listening(here.url, thread) as events:
        heard = await first_node(events)
    await restart(redis_server)
    gate(thread).set()
    heard += await hear(here.url, thread, since=heard[-1]["seq"])

    assert nodes(heard) == NODES
    assert in_order(heard)


async def test_a_question_is_asked_everywhere_and_its_answer_is_taken(
    two: tuple[Replica, Replica], redis_server: RedisServer
) -> None:
    here, there = two
    thread = str(uuid4())
    await stop(redis_server)
    async with listening(here.url, thread) as near, listening(there.url, thread) as far:
        await start(there.url, thread, "asks", {})
        asked = [await until_the_end(near), await until_the_end(far)]
        question = asked[1][-2]["params"]["data"]
        answered = await command(
            there.url, thread, "input.respond", {"interrupt_id": question["interrupt_id"], "response": "yes"}
        )
        ends = [await until_the_end(near), await until_the_end(far)]

    assert [lives(each)[-1] for each in asked] == [([], "interrupted")] * 2
    assert answered["type"] == "success"
    assert [lives(each)[-1] for each in ends] == [([], "completed")] * 2


async def test_after_redis_is_back_a_listener_elsewhere_hears_the_next_run_whole(
    two: tuple[Replica, Replica], redis_server: RedisServer
) -> None:
    here, there = two
    thread = await in_the_middle(here)
    async with listening(there.url, thread) as events:
        await first_node(events)
        await stop(redis_server)
        gate(thread).set()
        await until_the_end(events)
        await asyncio.to_thread(redis_server.start)
        await used_again(here, there)
        await start(there.url, thread, "steps", {})
        heard = await until_the_end(events)

    assert nodes(heard) == ["first", "second"]
    assert is_end(heard[-1])


@pytest.mark.parametrize("of", ["run", "thread"])
async def test_elsewhere_the_plain_streams_tell_the_end_too(
    two: tuple[Replica, Replica], redis_server: RedisServer, of: str
) -> None:
    here, there = two
    thread = await in_the_middle(here)
    (run,) = await here.client.runs.list(thread)
    client = there.client
    parts: list[Any] = []

    async def listen() -> None:
        if of == "run":
            stream = client.runs.join_stream(thread, run["run_id"], last_event_id="-1")
        else:
            path, after = f"/threads/{thread}/stream", {"Last-Event-ID": "-1"}
            stream = client.http.stream(path, "GET", params={"stream_mode": "run_modes"}, headers=after)
        async for part in stream:
            parts.append(part)
            if isinstance(part.data, dict) and part.data.get("steps") == LEFT:
                return

    listens = asyncio.create_task(listen())
    async with asyncio.timeout(60):
        while not parts:
            await asyncio.sleep(0.05)
        await stop(redis_server)
        gate(thread).set()
        await listens

    assert parts[-1].data["steps"] == LEFT
