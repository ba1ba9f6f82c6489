"""What tests of the cache among replicas wait for."""

from __future__ import annotations

from lgs_runtime.cache.manager import CacheManager
from support.waiting import until


async def listening(*caches: CacheManager) -> None:
    """Until each receives the changes of the others: as that begins it forgets what was shared before."""
    for each in caches:
        await each.read([each.place("any", "key")])
    await until(lambda: all(each.changes for each in caches))
