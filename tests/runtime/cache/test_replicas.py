"""The cache among replicas: shared through Redis, computed once, forgotten everywhere at once; and a Redis
that is gone, slow or full of foreign bytes costs hits and nothing else."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any

import pytest
import redis.asyncio
from langchain_core.messages import AIMessage
from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs

from lgs_runtime.cache import cached
from lgs_runtime.cache.current import serving
from lgs_runtime.cache.exposition import CacheCollector
from lgs_runtime.cache.found import Found, Life
from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.cache.memory import MOST_ENTRIES, MemoryCache
from lgs_runtime.cache.place import Place
from lgs_runtime.cache.popularity import MOST_HOT
from lgs_runtime.cache.preloading import Preloader
from lgs_runtime.cache.redis import HALF_LIFE_SECONDS, MOST_COUNTED, TIMEOUT_SECONDS
from lgs_runtime.cache.replicas import CHECK_SECONDS
from lgs_runtime.cache.response import ResponseCache
from lgs_runtime.cache.shared import Stored
from lgs_runtime.cache.single_flight import Flight
from lgs_runtime.cache.statistics import MOST_NAMESPACES
from support.caches import listening
from support.ports import PATIENCE_SECONDS
from support.redis import RedisServer
from support.waiting import until

KEY = (("write", "node"), "input")
LIFE = Life(3600.0)
NewCache = Callable[..., CacheManager]
NOBODY: frozenset[Flight] = frozenset()


def graph(cache: CacheManager) -> ResponseCache:
    return ResponseCache(cache, "graph")


async def computed(cache: CacheManager, place: Place, value: Any, life: Life = LIFE) -> Any:
    """What a caller in this replica gets, who computes `value` if there is none."""
    found = await cache.enter(place, life, NOBODY)
    if isinstance(found, Found):
        return found.value
    assert found is not None
    await cache.land(place, found, value, life)
    return value


async def test_what_one_replica_stored_another_finds(new_cache: NewCache, redis_uri: str) -> None:
    here, there = graph(new_cache(redis_uri)), graph(new_cache(redis_uri))

    await here.aset({KEY: (AIMessage("hello"), None)})
    found = await there.aget([KEY, (("write", "node"), "other")])

    assert found == {KEY: AIMessage("hello")}


async def test_services_that_share_a_redis_do_not_share_entries(new_cache: NewCache, redis_uri: str) -> None:
    here, there = (graph(new_cache(redis_uri, name)) for name in ("one", "two"))

    await here.aset({KEY: ("value", None)})

    assert await there.aget([KEY]) == {}


async def test_an_entry_lives_as_long_as_its_policy_says(new_cache: NewCache, redis_uri: str) -> None:
    nodes = graph(new_cache(redis_uri, ttl=36_000.0))
    await nodes.aset({KEY: ("value", None), (("graph",), "short"): ("value", 3600)})

    async with redis.asyncio.Redis.from_url(redis_uri) as client:
        left = sorted([await client.pttl(key) async for key in client.scan_iter("lgs:test:cache:*")])
    assert 3_000_000 < left[0] <= 3_600_000 < 35_000_000 < left[1] <= 36_000_000


async def test_clearing_a_node_leaves_the_others(new_cache: NewCache, redis_uri: str) -> None:
    here, there = graph(new_cache(redis_uri)), graph(new_cache(redis_uri))
    kept = (("write", "kept"), "input")
    await here.aset({KEY: ("value", None), kept: ("value", None)})

    await here.aclear([("write", "node")])

    assert await here.aget([KEY, kept]) == {kept: "value"}
    assert await there.aget([KEY, kept]) == {kept: "value"}


async def test_a_name_with_marks_of_patterns_clears_itself_alone(new_cache: NewCache, redis_uri: str) -> None:
    strange, plain = (new_cache(redis_uri, name) for name in ("a*[b]?", "a*b"))
    for each in (strange, plain):
        await each.write([(each.place("node", "k"), 1, LIFE)])

    assert await strange.clear() == 1
    assert await plain.clear() == 1


async def test_what_one_replica_computes_the_other_waits_for(new_cache: NewCache, redis_uri: str) -> None:
    here, there = new_cache(redis_uri), new_cache(redis_uri)
    place = here.place("function", "key")
    flight = await here.enter(place, LIFE, NOBODY)
    assert isinstance(flight, Flight)

    others = [asyncio.create_task(computed(there, place, "theirs")) for _ in range(5)]
    await until(lambda: there.statistics.total().waits >= 5)
    await here.land(place, flight, "ours", LIFE)

    assert await asyncio.gather(*others) == ["ours"] * 5
    assert there.statistics.total().sets == 0


async def test_when_the_replica_that_computes_dies_another_goes_on_after_its_lease(
    new_cache: NewCache, redis_uri: str
) -> None:
    here, there = new_cache(redis_uri), new_cache(redis_uri)
    place = here.place("function", "key")
    await here.enter(place, LIFE, NOBODY)
    other = asyncio.create_task(computed(there, place, "theirs"))
    await until(lambda: there.statistics.total().waits >= 1)

    await here.close()
    async with redis.asyncio.Redis.from_url(redis_uri) as client:
        assert await client.pexpire(f"{place.key}:lease", 1), "what it held outlives it"

    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await other == "theirs"


async def test_a_lease_is_renewed_for_as_long_as_its_holder_computes(
    new_cache: NewCache, redis_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_runtime.cache.replicas.RENEWALS", 0.02)
    here = new_cache(redis_uri, lease_seconds=60.0)
    place = here.place("function", "key")
    flight = await here.enter(place, LIFE, NOBODY)
    assert isinstance(flight, Flight)

    async with redis.asyncio.Redis.from_url(redis_uri) as client, asyncio.timeout(PATIENCE_SECONDS):
        for _ in range(2):
            left = await client.pttl(f"{place.key}:lease")
            while (now := await client.pttl(f"{place.key}:lease")) <= left:
                left = now
                await asyncio.sleep(0.01)
        await here.land(place, flight, "ours", LIFE)
        assert await client.exists(f"{place.key}:lease") == 0


async def test_when_the_one_who_computes_fails_the_other_replica_goes_on_at_once(
    new_cache: NewCache, redis_uri: str
) -> None:
    here, there = new_cache(redis_uri), new_cache(redis_uri)
    place = here.place("function", "key")
    flight = await here.enter(place, LIFE, NOBODY)
    assert isinstance(flight, Flight)
    other = asyncio.create_task(computed(there, place, "theirs"))
    await until(lambda: there.statistics.total().waits >= 1)

    here.fail(flight)

    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await other == "theirs"


@pytest.mark.parametrize("how", ["forget", "clear", "clear all"])
async def test_what_one_replica_forgets_the_memory_of_the_others_forgets(
    new_cache: NewCache, redis_uri: str, how: str
) -> None:
    here, there = new_cache(redis_uri), new_cache(redis_uri)
    place = here.place("function", "key")
    await listening(here, there)
    await here.write([(place, "old", LIFE)])
    await there.read([place])
    assert there.peek(place) is not None

    if how == "forget":
        assert await here.forget(place)
    else:
        assert await here.clear(None if how == "clear all" else "function") == 1

    await until(lambda: there.memory.get(place.key) is None)
    assert await there.read([place]) == {}


async def test_a_value_computed_anew_replaces_that_of_the_others(new_cache: NewCache, redis_uri: str) -> None:
    here, there = new_cache(redis_uri), new_cache(redis_uri)
    place = here.place("function", "key")
    await listening(here, there)
    await here.write([(place, "old", LIFE)])
    await there.read([place])

    flight = here.claim(place, LIFE, fresh=False)
    assert flight is not None
    assert await here.claim_shared(place, flight)
    await here.land(place, flight, "new", LIFE, anew=True)

    await until(lambda: there.memory.get(place.key) is None)
    assert (await there.read([place]))[place].value == "new"


async def test_of_the_replicas_one_computes_an_old_value_anew(new_cache: NewCache, redis_uri: str) -> None:
    here, there = new_cache(redis_uri), new_cache(redis_uri)
    place = here.place("function", "key")
    mine, theirs = here.claim(place, LIFE, fresh=False), there.claim(place, LIFE, fresh=False)
    assert mine is not None
    assert theirs is not None

    assert await here.claim_shared(place, mine)
    assert not await there.claim_shared(place, theirs)


async def test_what_is_invalidated_elsewhere_as_it_is_computed_is_not_kept(
    new_cache: NewCache, redis_uri: str
) -> None:
    here, there = new_cache(redis_uri), new_cache(redis_uri)
    place = here.place("function", "key")
    flight = await here.enter(place, LIFE, NOBODY)
    assert isinstance(flight, Flight)

    await there.forget(place)
    await here.land(place, flight, "old", LIFE)

    assert await here.read([place]) == {}
    assert await there.read([place]) == {}


async def test_old_values_are_told_by_the_clock_of_redis_and_not_by_those_of_replicas(
    new_cache: NewCache, redis_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = new_cache(redis_uri), new_cache(redis_uri)
    place = here.place("function", "key")
    await here.write([(place, "value", Life(0.2, 3600.0))])
    monkeypatch.setattr(time, "time", lambda: 0.0)

    await asyncio.sleep(0.3)
    found = await there.enter(place, Life(0.2, 3600.0), NOBODY)

    assert found == Found("value", fresh=False, due=True)


@cached(ttl=60)
async def look_up(question: str) -> str:
    return f"answer to {question}"


@cached(ttl=60)
def look_up_sync(question: str) -> str:
    return f"answer to {question}"


async def test_a_function_finds_what_it_computed_in_another_replica(
    new_cache: NewCache, redis_uri: str
) -> None:
    counts = []
    for _ in range(2):
        with serving(new_cache(redis_uri)) as cache:
            await look_up("a")
            await asyncio.to_thread(look_up_sync, "a")
            counts.append({name: row.hits for name, row in cache.statistics.rows()})

    assert list(counts[0].values()) == [0, 0]
    assert list(counts[1].values()) == [1, 1]


async def test_a_sync_function_on_the_loop_shares_what_it_computed_a_moment_later(
    new_cache: NewCache, redis_uri: str
) -> None:
    with serving(new_cache(redis_uri)) as cache:
        look_up_sync("a")
    async with redis.asyncio.Redis.from_url(redis_uri) as client:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await client.keys("lgs:test:cache:*"):
                await asyncio.sleep(0.01)
    assert cache.statistics.total().sets == 1


async def test_a_call_in_an_event_loop_of_its_own_uses_the_redis_of_the_replica(
    new_cache: NewCache, redis_uri: str
) -> None:
    for hits in (0, 1):
        with serving(new_cache(redis_uri)) as cache:
            assert await asyncio.to_thread(lambda: asyncio.run(look_up("a"))) == "answer to a"
            assert cache.statistics.total().hits == hits


async def test_without_redis_the_memory_serves_and_everything_is_counted(new_cache: NewCache) -> None:
    cache = new_cache()
    nodes = graph(cache)

    await nodes.aget([KEY, (("write", "node"), "other")])
    await nodes.aset({KEY: ("value", None)})

    assert await nodes.aget([KEY]) == {KEY: "value"}
    counts = cache.statistics.of("graph/node")
    assert (counts.misses, counts.sets, counts.hits) == (2, 1, 1)


async def rates(cache: CacheManager, asked: Mapping[str, int]) -> Mapping[str, float]:
    """What Redis answers in time."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := await cache.rates(asked)):
            await asyncio.sleep(0.05)
    return found


async def test_counts_of_keys_take_no_more_of_redis_than_there_is_room_for(
    new_cache: NewCache, redis_uri: str
) -> None:
    cache = new_cache(redis_uri, "counted")
    for first in range(0, MOST_COUNTED + 1000, 512):
        await rates(cache, {f"{number}": 1 for number in range(first, first + 512)})
    await cache.clear()

    async with aclosing(redis.asyncio.from_url(redis_uri)) as server:
        (counts,) = [key async for key in server.scan_iter("*counted*counts}")]
        assert await server.zcard(counts) == MOST_COUNTED
        assert 0 < await server.ttl(counts) <= 10 * HALF_LIFE_SECONDS


async def test_counts_of_keys_fade(new_cache: NewCache, redis_uri: str) -> None:
    cache = new_cache(redis_uri, "fading")
    fresh = (await rates(cache, {"key": 1000}))["key"]
    async with aclosing(redis.asyncio.from_url(redis_uri)) as server:
        (halved,) = [key async for key in server.scan_iter("*fading*counts}:halved")]
        await server.set(halved, int(await server.get(halved)) - 3 * HALF_LIFE_SECONDS)

    faded = (await rates(cache, {"key": 1}))["key"]

    assert fresh / 20 < faded < fresh / 5


async def test_a_result_that_one_replica_computes_ahead_no_other_does(
    new_cache: NewCache, redis_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = new_cache(redis_uri), new_cache(redis_uri)
    place, life = here.place("function", "key"), Life(600.0, ahead=True)
    await listening(here, there)
    for cache in (here, there):
        monkeypatch.setattr(cache.learner, "may_refresh", lambda *_: True)
    mine, theirs = (cache.claim(place, life, fresh=True) for cache in (here, there))
    assert mine is not None
    assert theirs is not None

    assert await here.claim_shared(place, mine)
    assert not await there.claim_shared(place, theirs)
    await here.land(place, mine, "new", life, anew=True)

    assert (await there.read([place]))[place].value == "new"


async def test_a_redis_that_is_gone_costs_hits_and_nothing_else(
    new_cache: NewCache, redis_server: RedisServer
) -> None:
    cache = new_cache(redis_server.uri)
    redis_server.stop()

    with capture_logs() as logs:
        await graph(cache).aset({KEY: ("value", None)})
        for _ in range(20):
            assert await graph(cache).aget([KEY]) == {KEY: "value"}

    assert cache.redis == "away"
    assert cache.statistics.of("(redis)").errors >= 1
    assert [log["event"] for log in logs].count("cache.redis_gone") == 1


async def test_a_redis_that_is_back_is_used_after_the_next_look(
    new_cache: NewCache, redis_server: RedisServer
) -> None:
    """That is within two seconds, as long as a check that gets no answer and the pause after it are
    shorter."""
    here, there = new_cache(redis_server.uri), new_cache(redis_server.uri)
    place = here.place("function", "key")
    redis_server.stop()
    await here.write([(place, "value", LIFE)])
    await there.read([place])
    assert (here.redis, there.redis) == ("away", "away")

    redis_server.start()
    await until(lambda: here.redis == there.redis == "up")
    await here.write([(place, "value", LIFE)])

    assert (await there.read([place]))[place].value == "value"
    assert TIMEOUT_SECONDS + CHECK_SECONDS < 2.0


async def test_a_redis_that_stands_still_keeps_nobody_waiting_twice(
    new_cache: NewCache, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_runtime.cache.redis.TIMEOUT_SECONDS", TIMEOUT_SECONDS)
    cache = new_cache(redis_server.uri)
    assert cache._replicas is not None
    shared, asked = cache._replicas._shared, list[str]()
    ask = shared.read_or_lease

    async def counted(key: str, token: str, seconds: float) -> Stored | bool:
        asked.append(key)
        return await ask(key, token, seconds)

    await cache.read([cache.place("function", "first")])
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        await cache.read([cache.place("function", "second")])
        assert cache.redis == "away", "the premise: it was waited for"
        monkeypatch.setattr(shared, "read_or_lease", counted)
        for key in range(100):
            await computed(cache, cache.place("function", str(key)), key)
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)

    assert asked == []


async def test_what_memory_had_from_redis_is_forgotten_when_changes_may_have_gone_unheard(
    new_cache: NewCache, redis_server: RedisServer
) -> None:
    cache = new_cache(redis_server.uri)
    place = cache.place("function", "key")
    await listening(cache)
    await cache.write([(place, "value", LIFE)])

    redis_server.stop()
    assert cache.peek(place) is not None
    await until(lambda: cache.redis == "away")
    redis_server.start()
    await until(lambda: cache.redis == "up")

    await until(lambda: cache.peek(place) is None)


@pytest.mark.parametrize(
    "foreign", [b"pickle\n\x80\x04K*.", b"msgpack\n\x01", b"", b"lgs2\x00\xc1", b"lgs2\x01("]
)
async def test_bytes_of_somebody_else_are_a_miss_and_are_counted(
    new_cache: NewCache, redis_uri: str, foreign: bytes
) -> None:
    cache = new_cache(redis_uri)
    place = cache.place("function", "key")
    await cache.write([(place, "value", LIFE)])
    async with redis.asyncio.Redis.from_url(redis_uri) as client:
        await client.set(place.key, foreign)
    fresh = new_cache(redis_uri)

    assert await computed(fresh, place, "ours") == "ours"
    assert await computed(fresh, place, "later") == "ours"
    assert (await new_cache(redis_uri).read([place]))[place].value == "ours"
    assert fresh.statistics.of("function").errors == 1


@pytest.mark.parametrize(("entries", "size", "left"), [(2, 1000, ["b", "c"]), (10, 8, ["b", "c"])])
def test_memory_forgets_what_was_not_used_for_longest(entries: int, size: int, left: list[str]) -> None:
    memory = MemoryCache(entries, size)

    for key in "abc":
        memory.put(key, b"4444", 60)

    assert [key for key in "abc" if memory.get(key)] == left


async def test_many_readers_at_once_get_what_is_there(new_cache: NewCache, redis_uri: str) -> None:
    cache, fresh = new_cache(redis_uri), new_cache(redis_uri)
    places = [cache.place("function", str(i)) for i in range(100)]
    await cache.write([(place, i, LIFE) for i, place in enumerate(places)])

    found = await asyncio.gather(*(computed(fresh, place, None) for place in places))

    assert found == list(range(100))


async def test_namespaces_beyond_a_number_are_counted_together(new_cache: NewCache) -> None:
    cache = new_cache()

    for i in range(300):
        await cache.read([cache.place(f"user {i}", "key")])

    assert len(list(cache.statistics.rows())) == 201
    assert cache.statistics.total().misses == 300
    assert cache.statistics.of("(others)").misses == 100


async def test_what_is_kept_of_namespaces_and_keys_that_anybody_makes_has_a_bound(
    new_cache: NewCache,
) -> None:
    cache = new_cache()
    registry = CollectorRegistry()
    registry.register(CacheCollector(cache))
    preloader = Preloader(cache)

    for number in range(5000):
        name = f"function of {number}"
        place = cache.place(name, f"{number}")
        life = Life(cache.learner.ttl(name, 60.0, 300.0), ahead=True)
        for _ in range(2):
            await computed(cache, place, number, life)
        cache.statistics.failed(name, "cache.not_storable", "anything")
        if number % 1000 == 999:
            await preloader.turn()

    series = [line for line in generate_latest(registry).decode().splitlines() if line[0] != "#"]
    assert len(series) < 20 * (MOST_NAMESPACES + 1)
    assert len(cache.learner.factors()) <= MOST_NAMESPACES
    assert len(cache.learner.popularity.hot) <= MOST_HOT
    assert len(cache.memory) <= MOST_ENTRIES
    assert cache.statistics.total().hits == 5000
