"""What every stream broker promises, over memory, a file between processes, and Redis."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from lgs_runtime.streams.contract import StreamBroker
from lgs_runtime.streams.events import FROM_START, StreamEvent
from lgs_runtime.streams.json_encoding import encode
from lgs_runtime.streams.local import LocalBroker
from lgs_runtime.streams.memory import MemoryBroker
from lgs_runtime.streams.redis import RedisBroker
from lgs_runtime.streams.subscribers import Subscriber
from support.ports import PATIENCE_SECONDS
from support.redis import RedisServer


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that is merely slow is not taken for one that is away."""
    for module in ("redis", "batches"):
        monkeypatch.setattr(f"lgs_runtime.streams.{module}.TIMEOUT_SECONDS", PATIENCE_SECONDS)


@pytest.fixture(params=["memory", "local", "redis"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> StreamBroker:
    """A broker that the test closes."""
    if request.param == "memory":
        return MemoryBroker()
    if request.param == "local":
        return LocalBroker(tmp_path / "streams.db")
    return RedisBroker.connect(request.getfixturevalue("redis_uri"), "test")


@pytest.fixture
async def broker(opened: StreamBroker) -> AsyncIterator[StreamBroker]:
    yield opened
    await opened.close()


@pytest.fixture(params=["local", "redis"])
async def two_replicas(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[StreamBroker, StreamBroker]]:
    pair: list[StreamBroker] = []
    for _ in range(2):
        if request.param == "local":
            pair.append(LocalBroker(tmp_path / "streams.db"))
        else:
            pair.append(RedisBroker.connect(request.getfixturevalue("redis_uri"), "test"))
    yield pair[0], pair[1]
    for each in pair:
        await each.close()


def events(epoch: int, *names: str, first: int = 1) -> list[StreamEvent]:
    return [StreamEvent(f"{epoch}-{first + i}", name, b"{}") for i, name in enumerate(names)]


async def collect(broker: StreamBroker, run_id: str, after: str | None = FROM_START) -> list[str]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [event.id async for together in broker.subscribe(run_id, after) for event in together]


async def test_a_late_listener_gets_every_event_in_order(broker: StreamBroker) -> None:
    run_id = str(uuid4())
    await broker.publish(run_id, events(1000, "metadata", "values", "end"))

    assert await collect(broker, run_id) == ["1000-1", "1000-2", "1000-3"]


async def test_a_listener_that_comes_back_misses_nothing_and_sees_nothing_twice(broker: StreamBroker) -> None:
    run_id = str(uuid4())
    await broker.publish(run_id, events(1000, *["values"] * 700))
    await broker.publish(run_id, events(1000, "end", first=701))

    assert await collect(broker, run_id, after="1000-650") == [f"1000-{i}" for i in range(651, 702)]
    assert len(await collect(broker, run_id)) == 701


async def test_a_listener_without_an_id_gets_only_what_comes_after_it(broker: StreamBroker) -> None:
    run_id = str(uuid4())
    await broker.publish(run_id, events(1000, "values"))
    live = broker.subscribe(run_id)
    first = asyncio.ensure_future(anext(live))
    sequence = 1
    while not first.done():
        sequence += 1
        await broker.publish(run_id, events(1000, "values", first=sequence))
        await asyncio.sleep(0)
    await broker.publish(run_id, events(1000, "end", first=sequence + 1))

    heard = [event.id for event in await first]
    heard += [event.id async for together in live for event in together]
    assert "1000-1" not in heard
    assert heard == [f"1000-{i}" for i in range(sequence + 2 - len(heard), sequence + 2)]


@pytest.mark.parametrize("after", ["1000-2", None], ids=["has heard it", "asks for what is to come"])
async def test_the_end_of_a_run_ends_its_listeners_also_those_that_come_after_it(
    broker: StreamBroker, after: str | None
) -> None:
    run_id = str(uuid4())
    await broker.publish(run_id, events(1000, "values", "end"))

    assert await collect(broker, run_id, after) == []


async def test_an_overtaken_attempt_can_not_write_behind_its_successor(broker: StreamBroker) -> None:
    run_id = str(uuid4())
    await broker.publish(run_id, events(1000, "values"))
    await broker.publish(run_id, events(2000, "values"))
    await broker.publish(run_id, events(1000, "late", "end", first=2))
    await broker.publish(run_id, events(2000, "end", first=2))

    assert await collect(broker, run_id) == ["1000-1", "2000-1", "2000-2"]


async def test_runs_do_not_hear_each_other(broker: StreamBroker) -> None:
    one, other = str(uuid4()), str(uuid4())
    await broker.publish(one, events(1000, "values", "end"))
    await broker.publish(other, events(3000, "end"))

    assert await collect(broker, one) == ["1000-1", "1000-2"]
    assert await collect(broker, other) == ["3000-1"]


async def test_many_listeners_follow_one_run_live(broker: StreamBroker) -> None:
    run_id = str(uuid4())
    listeners = [asyncio.create_task(collect(broker, run_id)) for _ in range(20)]
    for i in range(1, 51):
        await broker.publish(run_id, events(1000, "values", first=i))
    await broker.publish(run_id, events(1000, "end", first=51))

    for heard in await asyncio.gather(*listeners):
        assert heard == [f"1000-{i}" for i in range(1, 52)]


async def test_a_listener_that_is_asked_to_stop_gets_what_there_is_and_then_stops(
    broker: StreamBroker,
) -> None:
    run_id, subscriber = str(uuid4()), Subscriber()
    await broker.publish(run_id, events(1000, "metadata", "values"))

    subscriber.end()
    heard = [event.id async for found in broker.subscribe(run_id, FROM_START, subscriber) for event in found]

    assert heard == ["1000-1", "1000-2"]


async def test_who_still_listens_when_a_replica_ends_is_let_go(opened: StreamBroker) -> None:
    run_id = str(uuid4())
    await opened.publish(run_id, events(1000, "metadata", "values"))
    live = opened.subscribe(run_id, FROM_START)
    heard = [event.id for event in await anext(live)]
    waiting = asyncio.ensure_future(anext(live, None))

    await asyncio.sleep(0)
    await opened.close()

    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await waiting is None
    assert heard == ["1000-1", "1000-2"]


async def test_events_that_come_together_are_heard_together_and_in_order(broker: StreamBroker) -> None:
    run_id = str(uuid4())
    for sequence in range(1, 101):
        broker.publish(run_id, events(1000, "values", first=sequence))
    await broker.publish(run_id, events(1000, "end", first=101))

    found = [together async for together in broker.subscribe(run_id, FROM_START)]

    assert [event.id for together in found for event in together] == [f"1000-{i}" for i in range(1, 102)]
    assert len(found) == 1


async def test_what_is_discarded_is_gone(broker: StreamBroker) -> None:
    run_id = str(uuid4())
    await broker.publish(run_id, events(1000, "values"))
    await broker.discard(run_id)
    await broker.publish(run_id, events(2000, "end"))

    assert await collect(broker, run_id) == ["2000-1"]


async def test_a_listener_at_another_replica_hears_every_event(
    two_replicas: tuple[StreamBroker, StreamBroker],
) -> None:
    here, there = two_replicas
    run_id = str(uuid4())
    listener = asyncio.create_task(collect(there, run_id))
    for i in range(1, 101):
        await here.publish(run_id, events(1000, "values", first=i))
    await here.publish(run_id, events(1000, "end", first=101))

    assert await listener == [f"1000-{i}" for i in range(1, 102)]


async def test_many_who_begin_to_listen_at_once_all_hear_another_replica(
    two_replicas: tuple[StreamBroker, StreamBroker],
) -> None:
    here, there = two_replicas
    run_ids = [str(uuid4()) for _ in range(300)]
    listeners = [asyncio.create_task(collect(there, run_id)) for run_id in run_ids]

    for first in range(1, 4):
        await asyncio.gather(*(here.publish(each, events(1000, "values", first=first)) for each in run_ids))
    await asyncio.gather(*(here.publish(each, events(1000, "end", first=4)) for each in run_ids))

    for heard in await asyncio.gather(*listeners):
        assert heard == ["1000-1", "1000-2", "1000-3", "1000-4"]


async def test_a_run_that_moves_between_replicas_is_heard_in_order_at_each(
    two_replicas: tuple[StreamBroker, StreamBroker],
) -> None:
    here, there = two_replicas
    run_id = str(uuid4())
    listeners = [asyncio.create_task(collect(broker, run_id)) for broker in two_replicas]

    await here.publish(run_id, events(1000, "values", "values"))
    await there.publish(run_id, events(2000, "values", "values"))
    await here.publish(run_id, events(3000, "values", "end"))

    wanted = [f"{epoch}-{sequence}" for epoch in (1000, 2000, 3000) for sequence in (1, 2)]
    for heard in await asyncio.gather(*listeners):
        assert heard == wanted


async def test_what_an_overtaken_replica_still_says_is_heard_by_nobody(
    two_replicas: tuple[StreamBroker, StreamBroker],
) -> None:
    here, there = two_replicas
    run_id = str(uuid4())
    await here.publish(run_id, events(1000, "values"))
    listener = asyncio.create_task(collect(here, run_id))
    await there.publish(run_id, events(2000, "values"))

    await here.publish(run_id, events(1000, "late", "end", first=2))
    await there.publish(run_id, events(2000, "end", first=2))

    assert await listener == ["1000-1", "2000-1", "2000-2"]


async def test_the_events_of_many_runs_share_round_trips_and_stay_apart(redis_server: RedisServer) -> None:
    broker = RedisBroker.connect(redis_server.uri, "test")
    run_ids = [str(uuid4()) for _ in range(700)]
    async with Redis.from_url(redis_server.uri) as redis:
        before = (await redis.info("stats"))["total_reads_processed"]
        for first in range(1, 4):
            many = [broker.publish(run_id, events(1000, "values", first=first)) for run_id in run_ids]
            await asyncio.gather(*many)
        reads = (await redis.info("stats"))["total_reads_processed"] - before
        forever = [key async for key in redis.scan_iter() if await redis.ttl(key) < 0]

    await asyncio.gather(*(broker.publish(run_id, events(1000, "end", first=4)) for run_id in run_ids))
    assert reads < len(run_ids), "2100 events of 700 runs"
    assert not forever
    for run_id in run_ids[::100]:
        assert await collect(broker, run_id) == [f"1000-{sequence}" for sequence in range(1, 5)]
    await broker.close()


async def test_who_listens_from_the_begin_of_an_attempt_here_reads_nothing_from_redis(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for waited in ("SOON_SECONDS", "RECHECK_SECONDS"):
        monkeypatch.setattr(f"lgs_runtime.streams.redis.{waited}", 3600.0)
    broker = RedisBroker.connect(redis_server.uri, "test")
    early, late = str(uuid4()), str(uuid4())
    async with Redis.from_url(redis_server.uri) as redis:
        reads = await _reads(redis)
        listener = asyncio.create_task(collect(broker, early, after="1000-0"))
        await asyncio.sleep(0)
        await broker.publish(early, events(1000, "metadata"))
        await broker.publish(early, events(1000, "values", "end", first=2))
        heard = await listener
        without = await _reads(redis) - reads

        await broker.publish(late, events(1000, "metadata"))
        listener = asyncio.create_task(collect(broker, late, after="1000-0"))
        await asyncio.sleep(0)
        await broker.publish(late, events(1000, "values", "end", first=2))
        caught_up = await listener
    await broker.close()

    assert heard == caught_up == ["1000-1", "1000-2", "1000-3"]
    assert without == 0


async def _reads(redis: Redis) -> int:
    counts = await redis.info("commandstats")
    return sum(counts.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("xrange", "xrevrange"))


async def test_redis_that_forgot_its_scripts_takes_events_again(redis_uri: str) -> None:
    broker = RedisBroker.connect(redis_uri, "test")
    run_id = str(uuid4())
    await broker.publish(run_id, events(1000, "metadata"))

    async with Redis.from_url(redis_uri) as redis:
        await redis.script_flush()
        await broker.publish(run_id, events(1000, "end", first=2))
        [key] = [key async for key in redis.scan_iter(f"*{run_id}")]
        kept = [entry_id for entry_id, _ in await redis.xrange(key)]
    await broker.close()

    assert kept == [b"1000-1", b"1000-2"]


async def test_redis_going_away_costs_no_event_to_listeners_at_the_same_replica(
    redis_server: RedisServer,
) -> None:
    failures: list[int] = []
    broker = RedisBroker.connect(redis_server.uri, "test", lambda: failures.append(1))
    run_id = str(uuid4())
    listener = asyncio.create_task(collect(broker, run_id))
    await broker.publish(run_id, events(1000, "values"))

    redis_server.stop()
    await broker.publish(run_id, events(1000, "values", first=2))
    with pytest.raises(ConnectionError):
        await broker.ping()
    await broker.publish(run_id, events(1000, "end", first=3))

    heard = await listener
    assert heard[-2:] == ["1000-2", "1000-3"]
    assert failures
    await broker.close()


async def test_a_broker_goes_on_when_redis_is_back(redis_server: RedisServer) -> None:
    here, there = (RedisBroker.connect(redis_server.uri, "test") for _ in range(2))
    run_id = str(uuid4())
    listener = asyncio.create_task(collect(there, run_id))
    await here.publish(run_id, events(1000, "values"))
    redis_server.stop()
    await here.publish(run_id, events(1000, "lost", first=2))

    redis_server.start()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await _answers(here):
            await asyncio.sleep(0.05)
    sequence = 3
    while not listener.done():
        await here.publish(run_id, events(1000, "end", first=sequence))
        sequence += 1
        await asyncio.sleep(0.1)

    assert (await listener)[-1].startswith("1000-")
    await here.close()
    await there.close()


async def _answers(broker: RedisBroker) -> bool:
    try:
        await broker.ping()
    except ConnectionError:
        return False
    return True


async def test_runs_that_ended_first_make_room_in_memory_for_later_ones_and_running_ones_stay() -> None:
    broker = MemoryBroker(most_ended_bytes=100_000)
    runs = [str(uuid4()) for _ in range(200)]
    await broker.publish("running", events(1, "values"))
    hearing = broker.subscribe(runs[0], FROM_START)

    await broker.publish(runs[0], events(1, "values"))
    first_heard = await anext(hearing)
    await broker.publish(runs[0], events(1, "end", first=2))
    for run in runs[1:]:
        await broker.publish(run, events(1, "values", "end"))

    kept = [run for run in runs if broker.later_than(run, FROM_START)]
    assert kept == runs[-len(kept) :]
    assert 1 < len(kept) < 100
    assert broker.later_than("running", FROM_START)
    assert [event.id for event in first_heard] == ["1-1"]
    assert [event.id async for together in hearing for event in together] == ["1-2"]


async def test_a_run_that_begins_anew_after_its_end_is_not_dropped_as_ended() -> None:
    broker = MemoryBroker(most_ended_bytes=100_000)
    await broker.publish("again", events(1, "values", "end"))
    await broker.publish("again", events(2, "values"))

    for _ in range(200):
        await broker.publish(str(uuid4()), events(1, "values", "end"))
    heard = broker.later_than("again", FROM_START)
    await broker.publish("again", events(2, "end", first=2))

    assert [event.id for event in heard] == ["1-1", "1-2", "2-1"]
    assert [event.id for event in broker.later_than("again", FROM_START)][-1] == "2-2"


def test_encoded_events_take_what_they_hold() -> None:
    tracemalloc.start()
    try:
        kept = [encode({"number": number}) for number in range(1000)]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 1000 * (len(kept[0]) + 200)
