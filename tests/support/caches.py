"""What tests of the cache among replicas wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lgs_runtime.cache.manager import CacheManager


async def until(premise: Callable[[], bool]) -> None:
    """Waits for what must become true."""
    async with asyncio.timeout(60):
        while not premise():
            await asyncio.sleep(0.01)


async def listening(*caches: CacheManager) -> None:
    """Until each hears what the others tell: as that begins it forgets what was shared before."""
    for each in caches:
        await each.read([each.place("any", "key")])
    await until(lambda: all(each.heard for each in caches))
