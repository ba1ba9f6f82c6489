"""The response cache: shared through Redis, from memory without it, never a pickle, and never in a run's
way."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
import redis.asyncio
from langchain_core.messages import AIMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from lgs_runtime.cache.memory import MemoryLru
from lgs_runtime.cache.response import ResponseCache
from lgs_runtime.cache.value_encoding import Encoding
from support.redis import RedisServer

KEY = (("graph", "node"), "input")


class Counts(Counter[str]):
    """Counts what a cache tells."""

    def __call__(self, result: str, count: int = 1) -> None:
        self[result] += count


async def test_what_one_replica_stored_another_finds(redis_uri: str) -> None:
    here, there = (ResponseCache.connect(redis_uri, "test", 60, Counts()) for _ in range(2))

    await here.aset({KEY: (AIMessage("hello"), None)})
    found = await there.aget([KEY, (("graph", "node"), "other")])

    assert found == {KEY: AIMessage("hello")}
    await here.close()
    await there.close()


async def test_services_that_share_a_redis_do_not_share_entries(redis_uri: str) -> None:
    here, there = ResponseCache.connect(redis_uri, "one", 60), ResponseCache.connect(redis_uri, "two", 60)

    await here.aset({KEY: ("value", None)})

    assert await there.aget([KEY]) == {}
    await here.close()
    await there.close()


async def test_an_entry_lives_as_long_as_its_policy_says(redis_uri: str) -> None:
    cache = ResponseCache.connect(redis_uri, "test", 60)

    await cache.aset({KEY: ("value", None), (("graph",), "short"): ("value", 5)})

    client = redis.asyncio.Redis.from_url(redis_uri)
    left = sorted([await client.pttl(key) async for key in client.scan_iter("lgs:test:cache:*")])
    assert 4_000 < left[0] <= 5_000 < 50_000 < left[1] <= 60_000
    await client.aclose()
    await cache.close()


async def test_clearing_a_namespace_leaves_the_others(redis_uri: str) -> None:
    cache, other = (ResponseCache.connect(redis_uri, "test", 60) for _ in range(2))
    kept = (("graph", "kept"), "input")
    await cache.aset({KEY: ("value", None), kept: ("value", None)})

    await cache.aclear([("graph", "node")])

    assert await cache.aget([KEY, kept]) == {kept: "value"}
    assert await other.aget([KEY, kept]) == {kept: "value"}
    await cache.close()
    await other.close()


async def test_without_redis_the_memory_serves_and_everything_is_counted() -> None:
    counts = Counts()
    cache = ResponseCache.connect(None, "test", 60, counts)

    await cache.aget([KEY])
    await cache.aset({KEY: ("value", None)})

    assert await cache.aget([KEY]) == {KEY: "value"}
    assert counts == {"miss": 1, "set": 1, "hit": 1}


async def test_a_redis_that_is_gone_costs_hits_and_nothing_else(redis_server: RedisServer) -> None:
    counts = Counts()
    cache = ResponseCache.connect(redis_server.uri, "test", 60, counts)
    redis_server.stop()

    await cache.aset({KEY: ("value", None)})

    assert await cache.aget([KEY]) == {KEY: "value"}
    assert counts["error"] == 1
    await cache.close()


async def test_a_value_that_was_pickled_by_somebody_else_is_not_made_again(redis_uri: str) -> None:
    cache = ResponseCache.connect(redis_uri, "test", 60)
    await cache.aset({KEY: ("value", None)})
    client = redis.asyncio.Redis.from_url(redis_uri)
    async for name in client.scan_iter("lgs:test:cache:*"):
        await client.set(name, b"pickle\n\x80\x04K*.")
    fresh = ResponseCache.connect(redis_uri, "test", 60)

    assert await fresh.aget([KEY]) == {}

    for each in (cache, fresh):
        await each.close()
    await client.aclose()


@pytest.mark.parametrize(("entries", "size", "left"), [(2, 1000, ["b", "c"]), (10, 8, ["b", "c"])])
def test_memory_forgets_what_was_not_used_for_longest(entries: int, size: int, left: list[str]) -> None:
    memory = MemoryLru(entries, size)

    for key in "abc":
        memory.put(key, b"4444", 60)

    assert [key for key in "abc" if memory.get(key)] == left


async def test_many_readers_at_once_get_what_is_there(redis_uri: str) -> None:
    cache = ResponseCache.connect(redis_uri, "test", 60)
    keys = [(("graph",), str(i)) for i in range(100)]
    await cache.aset({key: (i, None) for i, key in enumerate(keys)})
    fresh = ResponseCache.connect(redis_uri, "test", 60)

    found = await asyncio.gather(*(fresh.aget([key]) for key in keys))

    assert [value for answer in found for value in answer.values()] == list(range(100))
    await cache.close()
    await fresh.close()


ENCODING = Encoding(JsonPlusSerializer(pickle_fallback=False), threshold_bytes=1024)


@pytest.mark.parametrize(
    ("value", "compressed"),
    [("a" * 5000, True), ("a" * 500, False), (random.Random(1).randbytes(5000), False)],
    ids=["repetitive", "small", "random"],
)
def test_a_value_is_compressed_where_that_saves_a_fifth(value: str | bytes, compressed: bool) -> None:
    stored = ENCODING.dumps(value)

    assert (len(stored) < len(value)) is compressed
    assert ENCODING.loads(stored) == value


def test_a_compressed_value_that_is_cut_short_is_refused() -> None:
    stored = ENCODING.dumps("a" * 5000)

    with pytest.raises(ValueError, match="cut short"):
        ENCODING.loads(stored[:-8])
