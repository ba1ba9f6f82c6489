"""The cache behind encryption: Redis gets sealed bytes, and what can't be sealed or opened costs a hit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import redis.asyncio

from lgs_runtime.cache.found import Found, Life
from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.cache.single_flight import Flight
from lgs_runtime.encryption.cipher import Cipher
from lgs_runtime.encryption.wrapping import sealing_entries
from support import ciphers
from support.caches import listening

NewCache = Callable[..., CacheManager]
LIFE = Life(3600.0)
SECRET = "the-treasure-is-under-the-oak"


@pytest.fixture(autouse=True)
def _no_failures() -> Iterator[None]:
    yield
    ciphers.broken.clear()


@pytest.fixture
def new_sealed(new_cache: NewCache, redis_uri: str) -> Callable[[], CacheManager]:
    """Caches of replicas that seal what they share."""
    return lambda: new_cache(redis_uri, before=sealing_entries(Cipher(ciphers.encryption, "here")))


async def computed(cache: CacheManager, value: str) -> str:
    place = cache.place("function", "key")
    found = await cache.enter(place, LIFE, frozenset())
    if isinstance(found, Flight):
        await cache.land(place, found, value, LIFE)
    return str(found.value) if isinstance(found, Found) else value


async def test_what_replicas_share_is_sealed_in_redis(
    new_sealed: Callable[[], CacheManager], redis_uri: str
) -> None:
    await computed(new_sealed(), SECRET)

    async with redis.asyncio.Redis.from_url(redis_uri) as client:
        [kept] = [await client.get(key) async for key in client.scan_iter("lgs:test:cache:*")]

    assert SECRET.encode() not in kept
    assert await computed(new_sealed(), "another") == SECRET


async def test_what_can_not_be_opened_is_computed_and_written_over(
    new_sealed: Callable[[], CacheManager],
) -> None:
    await computed(new_sealed(), "sealed with a key that is away")
    ciphers.broken.add(("decrypt.blob", "cache", "value"))

    assert await computed(new_sealed(), "theirs") == "theirs"
    ciphers.broken.clear()
    assert await computed(new_sealed(), "another") == "theirs"


async def test_what_can_not_be_sealed_is_not_shared_and_keeps_nobody_waiting(
    new_sealed: Callable[[], CacheManager], redis_uri: str
) -> None:
    ciphers.broken.add(("encrypt.blob", "cache", "value"))
    here = new_sealed()
    await listening(here)

    assert [await computed(here, "ours"), await computed(here, "another")] == ["ours", "ours"]
    assert await computed(new_sealed(), "theirs") == "theirs"
    async with redis.asyncio.Redis.from_url(redis_uri) as client:
        assert await client.keys("lgs:test:cache:*") == []
