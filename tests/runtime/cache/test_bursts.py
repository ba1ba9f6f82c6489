"""Thousands who ask at once wait for their turn, which says nothing of Redis; and not for a Redis that is
gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import cast

import pytest

from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.cache.replicas import MOST_ASKED
from lgs_runtime.cache.shared import Change, SharedCache, SharedCacheUnavailable, Stored


class Busy:
    """Answers, one after the other, as many as ask at a time; more find no place in time."""

    def __init__(self) -> None:
        self.asked = self.inside = self.most = 0
        self.gone = asyncio.Event()
        self.hangs = False

    async def ping(self) -> None: ...

    async def read(self, keys: Sequence[str]) -> Sequence[Stored | None]:
        self.asked += 1
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            if self.hangs:
                await self.gone.wait()
                raise SharedCacheUnavailable("it stands still")
            await asyncio.sleep(0)
            return [None] * len(keys)
        finally:
            self.inside -= 1

    async def changes(self) -> AsyncGenerator[Change, None]:
        yield Change()
        await asyncio.Event().wait()

    async def close(self) -> None: ...


@pytest.fixture
async def busy() -> AsyncIterator[tuple[Busy, CacheManager]]:
    shared = Busy()
    cache = CacheManager(cast(SharedCache, shared))
    cache.open()
    yield shared, cache
    await cache.close()


async def test_a_burst_is_asked_in_turns(busy: tuple[Busy, CacheManager]) -> None:
    shared, cache = busy

    await asyncio.gather(*(cache.read([cache.place("f", str(number))]) for number in range(5000)))

    assert shared.asked == 5000
    assert 1 < shared.most <= MOST_ASKED
    assert cache.redis == "up"


async def test_who_waits_for_a_turn_does_not_wait_for_a_redis_that_is_gone(
    busy: tuple[Busy, CacheManager],
) -> None:
    shared, cache = busy
    shared.hangs = True
    reads = [
        asyncio.create_task(cache.read([cache.place("f", str(number))])) for number in range(5 * MOST_ASKED)
    ]
    while shared.inside < MOST_ASKED:
        await asyncio.sleep(0)

    shared.gone.set()

    assert await asyncio.gather(*reads) == [{}] * len(reads)
    assert shared.asked == MOST_ASKED
