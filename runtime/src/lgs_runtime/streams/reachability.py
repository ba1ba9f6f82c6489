"""Whether Redis answers, so that nobody waits for it twice: what finds it gone says so, and from then on all
go past it until it has taken what one task wrote. What it refuses of one command it is no less there for.
"""

from __future__ import annotations

import asyncio
import math

import structlog
from redis.asyncio import Redis

from lgs_runtime.cancelling import cancelled
from lgs_runtime.redis_clients import GONE, is_refusal

AWAY_SECONDS = 1.0
"""Between two checks whether it is back."""
log = structlog.get_logger(__name__)


class Reachability:
    """What is known of the Redis of a replica's streams."""

    def __init__(self, redis: Redis, key: str, timeout_seconds: float) -> None:
        """It is back when it takes something at `key`: in a Cluster, where the streams are. One that is full,
        or follows a master, answers all the same."""
        self._redis = redis
        self._key = key
        self._timeout_seconds = timeout_seconds
        self._checks: asyncio.Task[None] | None = None
        self._refused = False

    @property
    def away(self) -> bool:
        """Whether it is not to be asked now."""
        return self._checks is not None and not self._checks.done()

    def failed(self, reason: BaseException) -> None:
        """A call had no answer, or was refused."""
        if is_refusal(reason):
            if not self._refused:
                log.warning("streams.redis_refused", reason=str(reason))
            self._refused = True
        elif not self.away:
            log.warning("streams.redis_gone", reason=str(reason) or type(reason).__name__)
            self._checks = asyncio.create_task(self._until_back(), name="stream-redis")

    async def close(self) -> None:
        """Ends the checks."""
        if self._checks is not None:
            await cancelled([self._checks])

    async def _until_back(self) -> None:
        while True:
            await asyncio.sleep(AWAY_SECONDS)
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    await self._redis.set(self._key, b"", ex=math.ceil(self._timeout_seconds))
            except GONE as failed:
                if not is_refusal(failed):
                    continue
            log.info("streams.redis_back")
            return
