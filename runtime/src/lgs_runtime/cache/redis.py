"""The entries of the response cache in Redis. Loaded only where a Redis is configured: its client takes long
to import."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from lgs_runtime.cache.shared import SharedCacheUnavailable

GONE = (RedisError, OSError, TimeoutError)
TIMEOUT_SECONDS = 1.0
MOST_CONNECTIONS = 16
POOL_SECONDS = 5.0
SCAN_PAGE = 500


class RedisEntries:
    """`SharedCache` in the database of a URI; Redis need not be there yet."""

    def __init__(self, uri: str) -> None:
        # Bounded: a burst of lookups waits for a connection instead of opening hundreds.
        pool = BlockingConnectionPool.from_url(
            uri,
            max_connections=MOST_CONNECTIONS,
            timeout=POOL_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
        )
        self._redis = Redis.from_pool(pool)

    async def read(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        """The value of each key."""
        with _translated():
            found: Any = await self._redis.mget(list(keys))
        return list(found)

    async def write(self, entries: Sequence[tuple[str, bytes, float]]) -> None:
        """Stores key, value and seconds to live of each, in one round trip."""
        with _translated():
            async with self._redis.pipeline(transaction=False) as pipe:
                for key, raw, ttl in entries:
                    pipe.set(key, raw, px=int(ttl * 1000))
                await pipe.execute()

    async def forget(self, prefixes: Sequence[str]) -> None:
        """Deletes all whose keys begin so."""
        with _translated():
            for prefix in prefixes:
                async for key in self._redis.scan_iter(match=f"{prefix}*", count=SCAN_PAGE):
                    await self._redis.unlink(key)

    async def close(self) -> None:
        """Closes the connections."""
        with suppress(*GONE):
            await self._redis.aclose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except GONE as gone:
        raise SharedCacheUnavailable(str(gone) or type(gone).__name__) from gone
