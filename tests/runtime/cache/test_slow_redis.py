"""A Redis that answers late, over a proxy in this process: a lookup that takes longer than the work that it
saves is not made, and a Redis that is quick again is used again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.cache.single_flight import Flight
from lgs_runtime.cache.values import Found, Life
from support.caches import listening
from support.ports import PATIENCE_SECONDS
from support.redis import RedisServer
from support.redis_proxy import RedisProxy, proxied
from support.waiting import until

NewCache = Callable[..., CacheManager]
LIFE = Life(3600.0)
SLOW_SECONDS = 0.15


@pytest.fixture(autouse=True)
def _impatient(_patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lgs_runtime.cache.replicas.SLOW_SECONDS", SLOW_SECONDS)
    monkeypatch.setattr("lgs_runtime.cache.redis.TIMEOUT_SECONDS", 1.0)
    monkeypatch.setattr("lgs_runtime.cache.replicas.CHECK_SECONDS", 0.05)


@pytest.fixture
async def slow(redis_uri: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RedisProxy]:
    """Nothing is given up here for being late alone."""
    monkeypatch.setattr("lgs_runtime.cache.redis.TIMEOUT_SECONDS", 60.0)
    async with proxied(redis_uri) as proxy:
        yield proxy


@asynccontextmanager
async def busy(seconds: float) -> AsyncIterator[None]:
    """Each turn of the event loop takes so long while the context is open."""
    over = asyncio.Event()

    async def hog() -> None:
        while not over.is_set():
            time.sleep(seconds)
            await asyncio.sleep(0)

    task = asyncio.create_task(hog())
    try:
        yield
    finally:
        over.set()
        await task


async def computed(cache: CacheManager, key: str, value: Any) -> Any:
    place = cache.place("function", key)
    found = await cache.enter(place, LIFE, frozenset())
    if isinstance(found, Flight):
        await cache.land(place, found, value, LIFE)
    return found.value if isinstance(found, Found) else value


async def test_a_redis_that_answers_late_is_asked_no_more_until_it_is_quick_again(
    new_cache: NewCache, slow: RedisProxy
) -> None:
    cache = new_cache(slow.uri)
    await listening(cache)
    await cache.write([(cache.place("function", "before"), "before", LIFE)])
    cache.memory.clear()

    with capture_logs() as logs:
        slow.seconds = 3 * SLOW_SECONDS
        asked = 0
        while cache.redis == "up":
            assert await computed(cache, f"first {asked}", asked) == asked
            asked += 1
            assert asked < 1000
        before = slow.asked
        for number in range(100):
            assert await computed(cache, f"then {number}", number) == number
        assert slow.asked == before

        slow.seconds = 0.0
        await until(lambda: cache.redis == "up")
        assert await computed(cache, "before", "anew") == "before"

    told = [(log["event"], log.get("reason")) for log in logs if log["event"].startswith("cache.redis_")]
    assert told[-2:] == [
        ("cache.redis_gone", f"no answer within {SLOW_SECONDS:g} s"),
        ("cache.redis_back", None),
    ]


async def test_a_burst_of_lookups_that_waits_for_connections_makes_no_slow_redis(
    new_cache: NewCache, slow: RedisProxy
) -> None:
    slow.seconds = SLOW_SECONDS / 10
    cache = new_cache(slow.uri)
    await listening(cache)
    checks = 0

    def suspected(suspect: Callable[[], None] = cache._replicas._suspect) -> None:  # type: ignore[union-attr]
        nonlocal checks
        checks += 1
        suspect()

    assert cache._replicas is not None
    cache._replicas._suspect = suspected  # type: ignore[method-assign]

    found = await asyncio.gather(*(computed(cache, f"{number}", number) for number in range(1000)))

    assert found == list(range(1000))
    assert checks > 0, "the premise: some waited for long"
    assert cache.redis == "up"


async def test_a_replica_that_is_too_busy_to_hear_redis_does_not_take_it_for_slow(
    new_cache: NewCache, redis_uri: str
) -> None:
    cache = new_cache(redis_uri)
    await listening(cache)
    assert cache._replicas is not None
    await cache._replicas._shared.ping()

    async with busy(1.5 * SLOW_SECONDS):
        cache._replicas._suspect()
        await cache._replicas._tasks["check"]

    assert cache.redis == "up"


async def test_a_busy_replica_too_goes_past_a_redis_that_answers_late(
    new_cache: NewCache, slow: RedisProxy
) -> None:
    cache = new_cache(slow.uri)
    await listening(cache)
    assert cache._replicas is not None
    await cache._replicas._shared.ping()

    slow.seconds = 5 * SLOW_SECONDS
    async with busy(SLOW_SECONDS / 6), asyncio.timeout(PATIENCE_SECONDS):
        asked = 0
        while cache.redis == "up":
            await computed(cache, f"{asked}", asked)
            asked += 1


async def test_a_replica_that_is_too_busy_to_see_does_not_take_a_redis_that_is_gone_for_one_that_is_back(
    new_cache: NewCache, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_runtime.cache.replicas.LATE_SECONDS", -1.0)
    cache = new_cache(redis_server.uri)
    assert cache._replicas is not None
    shared, looks = cache._replicas._shared, list[int]()
    ping = shared.ping

    async def counted() -> None:
        looks.append(1)
        await ping()

    monkeypatch.setattr(shared, "ping", counted)
    redis_server.stop()
    await cache.write([(cache.place("function", "key"), "value", LIFE)])
    assert cache.redis == "away"

    with capture_logs() as logs:
        await until(lambda: len(looks) >= 3)

    assert [log["event"] for log in logs if log["event"].startswith("cache.redis_")] == []
