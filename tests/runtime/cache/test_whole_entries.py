"""What somebody else has done to an entry in Redis costs a hit, and never brings another value."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import redis.asyncio
from structlog.testing import capture_logs

from lgs_runtime.cache.found import Found, Life
from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.cache.place import Place
from lgs_runtime.cache.single_flight import Flight
from lgs_runtime.encryption.cipher import Cipher
from lgs_runtime.encryption.wrapping import sealing_entries
from support import ciphers
from support.caches import listening

NewCache = Callable[..., CacheManager]
Client = redis.asyncio.Redis
LIFE = Life(3600.0)


@pytest.fixture(params=["plain", "sealed"])
async def cache(request: pytest.FixtureRequest, new_cache: NewCache, redis_uri: str) -> CacheManager:
    """Of a replica that has memory of nothing."""
    sealing: Any = {"before": sealing_entries(Cipher(ciphers.encryption, "here"))}
    found = new_cache(redis_uri, "whole", **(sealing if request.param == "sealed" else {}))
    await listening(found)
    return found


async def computed(cache: CacheManager, place: Place, value: Any) -> Any:
    cache.memory.clear()
    found = await cache.enter(place, LIFE, frozenset())
    if isinstance(found, Flight):
        await cache.land(place, found, value, LIFE)
    return found.value if isinstance(found, Found) else value


async def changed(client: Client, place: Place, change: Callable[[bytes], bytes]) -> None:
    raw = await client.get(place.key)
    assert isinstance(raw, bytes)
    await client.set(place.key, change(raw), keepttl=True)


async def copied(client: Client, one: Place, other: Place) -> None:
    await client.copy(one.key, other.key, replace=True)


async def test_an_entry_that_was_copied_to_another_key_answers_no_other_question(
    cache: CacheManager, redis_uri: str
) -> None:
    ann, bob = (cache.place("mails", who) for who in ("ann", "bob"))
    await computed(cache, ann, "what Ann may read")
    async with Client.from_url(redis_uri) as client:
        await copied(client, ann, bob)

    with capture_logs() as logs:
        found = await computed(cache, bob, "what Bob may read")
        again = await computed(cache, bob, "another")

    assert (found, again) == ("what Bob may read", "what Bob may read")
    assert await computed(cache, ann, "another") == "what Ann may read"
    assert cache.statistics.of("mails").errors == 1
    assert [line["event"] for line in logs if line["event"].startswith("cache.")] == ["cache.unreadable"]


@pytest.mark.parametrize("ask", ["enter", "read"])
async def test_a_bit_that_somebody_has_changed_is_a_miss(
    new_cache: NewCache, redis_uri: str, ask: str
) -> None:
    cache = new_cache(redis_uri, "bits")
    await listening(cache)
    place, value = cache.place("f", "key"), {"price": 1_000_000, "text": "a" * 3000, "rates": [1.5, 2.5]}
    drawn = random.Random(14)

    async def read() -> Any:
        if ask == "enter":
            return await computed(cache, place, "anew")
        cache.memory.clear()
        found = await cache.read([place])
        return found[place].value if place in found else "anew"

    seen: list[Any] = []
    async with Client.from_url(redis_uri) as client:
        for _ in range(100):
            await cache.write([(place, value, LIFE)])
            bit = drawn.randrange(8 * await client.strlen(place.key))
            await changed(client, place, partial(flipped, bit=bit))
            seen.append(await read())

    assert seen == ["anew"] * 100
    await cache.write([(place, value, LIFE)])
    assert await read() == value


def flipped(raw: bytes, bit: int) -> bytes:
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
