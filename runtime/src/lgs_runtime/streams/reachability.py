"""Tracks whether Redis answers, so that nobody waits for it twice: a call that finds it gone reports that,
and from then on all calls go past it, until a test write by one task shows that it is back. A Redis that
refuses a single command still counts as reachable."""

from __future__ import annotations

import asyncio
import math

import structlog
from redis.asyncio import Redis

from lgs_runtime.cancelling import cancelled
from lgs_runtime.redis_clients import GONE, is_refusal

AWAY_SECONDS = 1.0
"""Seconds between two checks whether Redis is back."""
log = structlog.get_logger(__name__)


class Reachability:
    """Tracks whether the Redis of a replica's streams answers."""

    def __init__(self, redis: Redis, key: str, timeout_seconds: float) -> None:
        """Redis is back when it accepts a write at `key`: in a Cluster, where the streams are. A ping would
        not do: a Redis that is full, or follows a master, still answers one."""
        self._redis = redis
        self._key = key
        self._timeout_seconds = timeout_seconds
        self._checks: asyncio.Task[None] | None = None
        self._refused = False

    @property
    def away(self) -> bool:
        """Whether Redis is not to be asked now."""
        return self._checks is not None and not self._checks.done()

    def failed(self, reason: BaseException) -> None:
        """Reports that a call had no answer, or was refused."""
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
