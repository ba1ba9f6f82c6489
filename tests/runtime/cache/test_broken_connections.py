"""Connections break, and Redis is well: it closes those that are idle, an administrator closes them, an
answer is lost with its connection. That is no outage: what was asked is asked again, memory forgets nothing,
and nobody waits for a lease that nobody holds."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, ClassVar

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from lgs_runtime.cache.found import Life
from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.cache.place import Place
from lgs_runtime.cache.redis import RedisEntries, _messages
from lgs_runtime.cache.shared import Change, SharedCacheRefused, SharedCacheUnavailable, Stored, Written
from lgs_runtime.cache.single_flight import Flight
from lgs_runtime.cache.whole_entries import WholeEntries
from lgs_runtime.cancelling import cancelled
from support.caches import listening
from support.loop_faults import faults_of_the_loop
from support.no_redis import NOT_OF_REDIS, answering
from support.ports import PATIENCE_SECONDS
from support.redis import RedisServer, close_connections
from support.redis_proxy import proxied
from support.waiting import until

NewCache = Callable[..., CacheManager]
LIFE = Life(3600.0)
NOBODY: frozenset[Flight] = frozenset()
LONG = 3600.0
"""Seconds of a lease that no test waits for."""


async def killed(server: RedisServer) -> int:
    return await close_connections(server)


async def idle(server: RedisServer) -> int:
    """Until the server has closed what was idle; that of who looks, too, if it stood still."""

    async def asked(question: Callable[[Redis], Awaitable[Any]]) -> Any:
        with suppress(RedisConnectionError):
            async with Redis.from_url(server.uri) as client:
                return await question(client)

    async def alone() -> bool:
        return len(await asked(lambda client: client.client_list(_type="normal")) or ()) == 1

    open_ones = len(await asked(lambda client: client.client_list(_type="normal")))
    await until(lambda: asked(lambda client: client.config_set("timeout", 1)))
    await until(alone)
    await until(lambda: asked(lambda client: client.config_set("timeout", 0)))
    return open_ones - 1


@pytest.mark.parametrize("close", [killed, idle])
async def test_connections_that_redis_closes_are_no_outage(
    new_cache: NewCache, redis_server: RedisServer, close: Callable[[RedisServer], Awaitable[int]]
) -> None:
    cache = new_cache(redis_server.uri)
    await listening(cache)
    await entries_of(cache).ping()
    places = [cache.place("function", str(number)) for number in range(40)]
    await cache.write([(place, place.key, LIFE) for place in places])

    async def found_in_redis() -> int:
        cache.memory.clear()
        return sum(len(found) for found in await asyncio.gather(*(cache.read([place]) for place in places)))

    assert await found_in_redis() == len(places)
    changes = cache.changes
    with capture_logs() as logs:
        assert await close(redis_server) > 2, "the premise: a pool of connections"

        assert [await found_in_redis() for _ in range(3)] == [len(places)] * 3
        await entries_of(cache).ping()

    assert [log["event"] for log in logs if log["event"].startswith("cache.")] == []
    assert (cache.redis, cache.changes, cache.statistics.of("(redis)").errors) == ("up", changes, 0)


async def test_a_redis_that_was_gone_is_away_once_however_many_connections_it_had(
    new_cache: NewCache, redis_server: RedisServer
) -> None:
    cache = new_cache(redis_server.uri)
    await listening(cache)
    places = [cache.place("function", str(number)) for number in range(40)]
    await asyncio.gather(*(cache.read([place]) for place in places))

    with capture_logs() as logs:
        redis_server.stop()
        await asyncio.gather(*(cache.read([place]) for place in places))
        assert cache.redis == "away"
        redis_server.start()
        await until(lambda: cache.redis == "up")
        for _ in range(3):
            await asyncio.gather(*(cache.read([place]) for place in places))

    told = [log["event"] for log in logs if log["event"].startswith("cache.redis_")]
    assert [event for event in told if event != "cache.redis_failed"] == [
        "cache.redis_gone",
        "cache.redis_back",
    ]


Question = Callable[[RedisEntries], Awaitable[Any]]
QUESTIONS: dict[str, tuple[Question, Any]] = {
    "ping": (lambda entries: entries.ping(), None),
    "read": (lambda entries: _raw(entries.read(["{there}"])), [b"raw"]),
    "read_or_lease": (lambda entries: entries.read_or_lease("{new}", "mine", LONG), True),
    "read_or_lease of another": (lambda entries: entries.read_or_lease("{leased}", "mine", LONG), False),
    "lease": (lambda entries: entries.lease("{new}", "mine", LONG), True),
    "lease of another": (lambda entries: entries.lease("{leased}", "mine", LONG), False),
    "renew": (lambda entries: entries.renew([("{leased}", "theirs")], LONG), None),
    "release": (lambda entries: entries.release("{leased}", "theirs"), None),
    "write": (lambda entries: entries.write([Written("{new}", b"raw", 60.0)]), None),
    "write_leased": (
        lambda entries: entries.write_leased(Written("{leased}", b"raw", 60.0), "theirs"),
        True,
    ),
    "write_leased of another": (
        lambda entries: entries.write_leased(Written("{leased}", b"raw", 60.0), "mine"),
        False,
    ),
    "forget": (lambda entries: entries.forget("{there}"), True),
    "clear": (lambda entries: entries.clear("{there"), 1),
    "count": (lambda entries: _keys(entries.count({"key": 5})), ["key"]),
    "announce": (lambda entries: entries.announce(Change(key="key")), None),
}


async def _raw(reading: Awaitable[Any]) -> list[bytes]:
    return [each.raw for each in await reading]


async def _keys(counting: Awaitable[Any]) -> list[str]:
    return list(await counting)


@pytest.mark.parametrize("question", QUESTIONS)
async def test_an_answer_that_is_lost_with_its_connection_is_asked_for_again(
    redis_uri: str, question: str
) -> None:
    ask, answer = QUESTIONS[question]
    async with proxied(redis_uri) as proxy:
        entries = RedisEntries(f"redis://127.0.0.1:{proxy.port}/1", "channel")
        await entries.write([Written("{there}", b"raw", 60.0)])
        assert await entries.lease("{leased}", "theirs", LONG)
        await entries.ping()

        proxy.swallows = 1
        assert await ask(entries) == answer

        assert proxy.swallows == 0, "the premise"
        await entries.close()


async def test_a_subscription_that_breaks_begins_anew_and_memory_forgets_what_it_may_have_missed(
    new_cache: NewCache, redis_server: RedisServer
) -> None:
    here, there = new_cache(redis_server.uri), new_cache(redis_server.uri)
    await listening(here, there)
    place = here.place("function", "key")
    await here.write([(place, "old", LIFE)])
    before = here.changes, there.changes

    with capture_logs() as logs:
        assert await close_connections(redis_server, "pubsub") == 2
        await until(lambda: here.changes > before[0] and there.changes > before[1])
        assert here.peek(place) is None

        await here.write([(place, "old", LIFE)])
        await there.forget(place)
        await until(lambda: here.peek(place) is None)

    assert [log["event"] for log in logs if log["event"].startswith("cache.redis")] == []


async def test_a_subscription_that_is_dead_without_a_word_begins_anew_and_memory_forgets_what_it_missed(
    new_cache: NewCache, redis_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_runtime.cache.redis.HEALTH_SECONDS", 0.1)
    async with proxied(redis_uri) as proxy:
        here = new_cache(proxy.uri)
        await listening(here)
        place = here.place("function", "key")
        await here.write([(place, "old", LIFE)])

        proxy.strand()
        before = here.changes
        await until(lambda: here.changes > before)

        assert here.peek(place) is None
        await here.close()


@pytest.mark.parametrize("kind", ["pong", "message"])
async def test_a_subscription_that_answers_or_brings_something_is_alive(kind: str) -> None:
    class PubSub:
        pings = 0
        coming: ClassVar = [None, {"type": kind}, None, {"type": kind}, {"type": "message"}, None, None]

        async def ping(self) -> None:
            self.pings += 1

        async def get_message(self, timeout: float) -> Any:
            return self.coming.pop(0)

    pubsub, came = PubSub(), []
    with pytest.raises(RedisConnectionError, match="silent"):
        async for message in _messages(pubsub):
            came.append(message["type"])

    assert (came, pubsub.pings, pubsub.coming) == ([kind, kind, "message"], 3, [])


def entries_of(cache: CacheManager) -> RedisEntries:
    assert cache._replicas is not None
    assert isinstance(cache._replicas._shared, WholeEntries)
    assert isinstance(cache._replicas._shared._inner, RedisEntries)
    return cache._replicas._shared._inner


async def taken(cache: CacheManager, place: Place) -> Flight:
    flight = await cache.enter(place, LIFE, NOBODY)
    assert isinstance(flight, Flight)
    return flight


async def goes_on(cache: CacheManager, place: Place) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        flight = await taken(cache, place)
    await cache.land(place, flight, "value", LIFE)


def lost(
    shared: RedisEntries,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    *,
    done: bool,
    kind: type[Exception] = SharedCacheUnavailable,
) -> None:
    """The answer to one question does not come, and that was `done` all the same or not."""
    ask = getattr(shared, name)

    async def once(*args: Any) -> Any:
        monkeypatch.setattr(shared, name, ask)
        if done:
            await ask(*args)
        raise kind("lost")

    monkeypatch.setattr(shared, name, once)


@pytest.mark.parametrize("how", ["read_or_lease", "write_leased", "release", "lease"])
async def test_nobody_waits_for_the_lease_of_one_whose_answer_was_lost(
    new_cache: NewCache, redis_uri: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    here, there = (new_cache(redis_uri, lease_seconds=LONG) for _ in range(2))
    place = here.place("function", "key")
    shared = entries_of(here)
    lost(shared, monkeypatch, how, done=how in ("read_or_lease", "lease"))

    if how == "lease":
        claimed = here.claim(place, LIFE, fresh=False)
        assert claimed is not None
        assert await here.claim_shared(place, claimed)
        here.fail(claimed)
    else:
        flight = await taken(here, place)
        if how == "write_leased":
            await here.land(place, flight, "value", LIFE)
        else:
            here.fail(flight)

    await goes_on(there, place)


async def test_a_lease_that_can_not_be_given_back_keeps_no_other_from_it(
    new_cache: NewCache, redis_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = (new_cache(redis_uri, lease_seconds=LONG) for _ in range(2))
    away, place = here.place("function", "of a node that is away"), here.place("function", "key")
    shared = entries_of(here)
    release = shared.release

    async def refused(key: str, token: str) -> None:
        if key == away.key:
            raise SharedCacheRefused("its node is away")
        await release(key, token)

    monkeypatch.setattr(shared, "release", refused)
    for each in (away, place):
        lost(shared, monkeypatch, "read_or_lease", done=True, kind=SharedCacheRefused)
        here.fail(await taken(here, each))

    await goes_on(there, place)


async def test_nobody_waits_for_the_lease_of_one_who_was_cancelled_as_it_was_taken(
    new_cache: NewCache, redis_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is given back as soon as it was taken, not when Redis is looked at.
    monkeypatch.setattr("lgs_runtime.cache.replicas.CHECK_SECONDS", LONG)
    here, there = (new_cache(redis_uri, lease_seconds=LONG) for _ in range(2))
    place = here.place("function", "key")
    shared = entries_of(here)
    ask, asked, answered = shared.read_or_lease, asyncio.Event(), asyncio.Event()

    async def late(key: str, token: str, seconds: float) -> Stored | bool:
        found = await ask(key, token, seconds)
        asked.set()
        await answered.wait()
        return found

    monkeypatch.setattr(shared, "read_or_lease", late)
    caller = asyncio.create_task(taken(here, place))
    await asked.wait()
    caller.cancel()
    answered.set()
    await asyncio.gather(caller, return_exceptions=True)

    await goes_on(there, place)


@pytest.mark.parametrize("answer", NOT_OF_REDIS, ids=repr)
async def test_what_answers_and_is_no_redis_is_one_that_is_away(new_cache: NewCache, answer: bytes) -> None:
    async with answering(answer) as uri:
        cache = new_cache(uri)
        place = cache.place("function", "key")
        with capture_logs() as logs:
            flight = await cache.enter(place, LIFE, NOBODY)
            assert isinstance(flight, Flight)
            await cache.land(place, flight, "value", LIFE)
            found = await cache.read([place, cache.place("function", "other")])
            await cache.forget(place)
            await cache.clear()
            await cache.rates({"key": 1})
        await cache.close()

    assert [each.value for each in found.values()] == ["value"]
    assert "cache.redis_gone" in [log["event"] for log in logs]


async def test_a_ping_that_fails_as_the_replica_closes_is_told_to_nobody(
    new_cache: NewCache, redis_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, go_on, pinged = new_cache(redis_uri), asyncio.Event(), asyncio.Event()

    async def fails() -> None:
        pinged.set()
        await go_on.wait()
        raise SharedCacheUnavailable("lost")

    replicas = cache._replicas
    assert replicas is not None
    monkeypatch.setattr(entries_of(cache), "ping", fails)
    with faults_of_the_loop() as told:
        replicas._suspect()
        await asyncio.wait_for(pinged.wait(), PATIENCE_SECONDS)
        await cancelled([replicas._tasks["check"]])
        (ping,) = replicas._asked
        go_on.set()
        await asyncio.wait({ping})
        del ping
        await cache.close()
        replicas._tasks.clear()
        gc.collect()

    assert told == []
