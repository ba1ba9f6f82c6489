"""Redis fails in the middle of a stream: it stands still, its answer is lost, connections break, it has no
room. Who listens where a run executes misses no event and gets none twice; who listens elsewhere goes on."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from lgs_runtime.streams.events import FROM_START, StreamEvent
from lgs_runtime.streams.redis import RedisBroker
from lgs_runtime.streams.redis_pubsub import RedisPubSub
from lgs_runtime.streams.subscribers import Subscriber
from support.ports import PATIENCE_SECONDS
from support.redis import RedisServer, close_connections
from support.redis_proxy import proxied

ALL = [f"1000-{number}" for number in range(1, 6)]


def events(*names: str, first: int = 1) -> list[StreamEvent]:
    return [StreamEvent(f"1000-{first + i}", name, b"{}") for i, name in enumerate(names)]


async def collect(broker: RedisBroker, run_id: str, after: str = FROM_START) -> list[str]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [event.id async for together in broker.subscribe(run_id, after) for event in together]


async def begun(broker: RedisBroker, run_id: str, *listeners: RedisBroker) -> list[asyncio.Task[list[str]]]:
    """Listeners at these replicas that have received the first event of a run."""
    heard = [asyncio.Event() for _ in listeners]

    async def listen(at: RedisBroker, first: asyncio.Event) -> list[str]:
        found: list[str] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for together in at.subscribe(run_id, FROM_START):
                found += [event.id for event in together]
                first.set()
        return found

    await broker.publish(run_id, events("metadata"))
    tasks = [asyncio.create_task(listen(*each)) for each in zip(listeners, heard, strict=True)]
    await asyncio.gather(*(first.wait() for first in heard))
    return tasks


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets how long a broker waits for Redis, and those made from then on for each of its answers."""

    def wait_for(seconds: float) -> None:
        for module in ("redis", "batches"):
            monkeypatch.setattr(f"lgs_runtime.streams.{module}.TIMEOUT_SECONDS", seconds)

    wait_for(3600.0)
    return wait_for


@pytest.fixture
async def two(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch, patience: Callable[[float], None]
) -> AsyncIterator[tuple[RedisBroker, RedisBroker]]:
    # Redis is asked again at once: what it misses meanwhile is not what these tests are about.
    monkeypatch.setattr("lgs_runtime.streams.reachability.AWAY_SECONDS", 0.0)
    pair = tuple(RedisBroker.connect(redis_server.uri, "test") for _ in range(2))
    yield pair[0], pair[1]
    for each in pair:
        await each.close()


async def test_what_redis_took_while_it_stood_still_is_heard_once(
    two: tuple[RedisBroker, RedisBroker], redis_server: RedisServer, patience: Callable[[float], None]
) -> None:
    (here, there), run_id = two, str(uuid4())
    listeners = await begun(here, run_id, here, there)

    patience(1.0)
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        await here.publish(run_id, events("values", "values", first=2))
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
    patience(3600.0)
    await answering(here)
    await here.publish(run_id, events("values", "end", first=4))

    assert (await listeners[0], await collect(here, run_id)) == (ALL, ALL)
    elsewhere = await listeners[1]
    assert (sorted(set(elsewhere)), elsewhere[0]) == (elsewhere, ALL[0])


async def test_nobody_waits_for_redis_twice_while_it_stands_still(
    redis_server: RedisServer, patience: Callable[[float], None]
) -> None:
    here, run_id, later = RedisBroker.connect(redis_server.uri, "test"), str(uuid4()), str(uuid4())
    (listener,) = await begun(here, run_id, here)

    patience(0.2)
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        await here.publish(run_id, events("values", first=2))
        patience(3600.0)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await here.publish(run_id, events("values", "values", "end", first=3))
            await here.publish(later, events("metadata", "values", "values", "values", "end"))
            await here.discard(run_id)

            assert (await listener, await collect(here, later)) == (ALL, ALL)
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
    await here.close()


async def test_an_answer_of_redis_that_is_lost_costs_no_event_and_doubles_none(
    two: tuple[RedisBroker, RedisBroker], redis_server: RedisServer
) -> None:
    there, run_id = two[1], str(uuid4())
    async with proxied(redis_server.uri) as proxy:
        here = RedisBroker.connect(proxy.uri, "test")
        listeners = await begun(here, run_id, here, there)

        proxy.swallows = 1
        await here.publish(run_id, events("values", "values", first=2))
        await here.publish(run_id, events("values", "end", first=4))

        assert proxy.swallows == 0
        assert [await heard for heard in listeners] == [ALL, ALL]
        assert [await collect(at, run_id) for at in (here, there)] == [ALL, ALL]
        await here.close()


async def test_a_redis_that_was_started_again_costs_those_who_listen_elsewhere_no_event(
    two: tuple[RedisBroker, RedisBroker], redis_server: RedisServer
) -> None:
    (here, there), run_id = two, str(uuid4())
    listeners = await begun(here, run_id, here, there)

    redis_server.stop()
    redis_server.start()
    await here.publish(run_id, events("values", "values", first=2))
    async with Redis.from_url(redis_server.uri) as redis:
        forever = [key async for key in redis.scan_iter() if await redis.ttl(key) < 0]
    await here.publish(run_id, events("values", "end", first=4))

    assert [await heard for heard in listeners] == [ALL, ALL]
    assert not forever


async def test_connections_that_redis_closes_between_events_are_no_outage(
    two: tuple[RedisBroker, RedisBroker], redis_server: RedisServer
) -> None:
    (here, there), run_id = two, str(uuid4())
    await asyncio.gather(*(here.ping() for _ in range(8)), there.ping())
    await here.publish(run_id, events("metadata"))

    with capture_logs() as logs:
        closed = await close_connections(redis_server)
        await here.publish(run_id, events("values", "values", "values", "end", first=2))

        assert closed > 2, "the premise"
        assert [await collect(at, run_id) for at in (here, there)] == [ALL, ALL]
        await here.discard(run_id)

    assert [log for log in logs if log["event"].startswith("streams.")] == []


async def test_a_redis_without_room_costs_those_who_listen_here_no_event(
    two: tuple[RedisBroker, RedisBroker], redis_server: RedisServer
) -> None:
    (here, there), run_id = two, str(uuid4())
    listeners = await begun(here, run_id, here, there)

    async with Redis.from_url(redis_server.uri) as redis:
        await redis.config_set("maxmemory", "1")
        await here.publish(run_id, events("values", "values", first=2))
        await redis.config_set("maxmemory", "0")
    await answering(here)
    await here.publish(run_id, events("values", "end", first=4))

    assert (await listeners[0], await collect(here, run_id)) == (ALL, ALL)
    assert (await listeners[1])[-1] == ALL[-1]


async def test_redis_still_rings_after_a_listener_that_went_before_it_was_told(redis_uri: str) -> None:
    async with Redis.from_url(redis_uri) as redis:
        pubsub = RedisPubSub(redis)
        with pubsub.listening("channel", Subscriber()):
            pass
        await asyncio.sleep(0.1)

        subscriber = Subscriber()
        with pubsub.listening("channel", subscriber):
            assert await subscriber.woken(PATIENCE_SECONDS), "by the confirmation"
            await redis.publish("channel", "")
            assert await subscriber.woken(PATIENCE_SECONDS), "by the message"
        await pubsub.close()


async def answering(broker: RedisBroker) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while broker.away:
            await asyncio.sleep(0.05)
