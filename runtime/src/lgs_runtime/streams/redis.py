"""Events between the replicas of a cluster: one Redis Stream a run.

A batch is one round trip, and the event's id is the stream entry's, so a client's `Last-Event-ID` is where
reading goes on, and Redis itself refuses what is not later than the last. All subscriptions of a replica
share one connection that rings when there is news; the entries are read when it rings.
What Redis does not take goes to the memory of this replica, so the clients here miss nothing; whoever
listens elsewhere goes on when Redis is back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError, ResponseError

from lgs_runtime.streams.bells import Bells
from lgs_runtime.streams.contract import StreamEvent, position
from lgs_runtime.streams.memory import MemoryBroker

MOST_EVENTS = 10_000
KEEP_LIVE_SECONDS = 24 * 3600
KEEP_ENDED_SECONDS = 300
PAGE = 500
MOST_CONNECTIONS = 32
RECHECK_SECONDS = 3.0
TIMEOUT_SECONDS = 2.0
AWAY_SECONDS = 1.0
log = structlog.get_logger(__name__)
GONE = (RedisError, OSError, TimeoutError)


class RedisBroker:
    """A `StreamBroker` over Redis Streams. `failed` is called for each batch that Redis did not take."""

    def __init__(self, redis: Redis, service: str, failed: Callable[[], None] = lambda: None) -> None:
        self._redis = redis
        self._prefix = f"lgs:{service}:stream:"
        self._failed = failed
        self._memory = MemoryBroker()
        self._away_until = 0.0
        self._bells = Bells(redis)

    @classmethod
    def connect(cls, uri: str, service: str, failed: Callable[[], None] = lambda: None) -> RedisBroker:
        """A broker for a URI; Redis need not be there yet."""
        # Bounded: a burst of publications waits for a connection instead of opening hundreds.
        pool = BlockingConnectionPool.from_url(
            uri,
            max_connections=MOST_CONNECTIONS,
            timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            health_check_interval=15,
        )
        return cls(Redis.from_pool(pool), service, failed)

    async def publish(self, run_id: str, events: Sequence[StreamEvent]) -> None:
        """Appends events in one round trip. Never raises."""
        if not events:
            return
        if time.monotonic() >= self._away_until:
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    await self._append(run_id, events)
                return
            except GONE as gone:
                # For a moment nobody asks again: a run must not wait two seconds for each of its tokens.
                self._away_until = time.monotonic() + AWAY_SECONDS
                log.warning("streams.redis_gone", reason=str(gone) or type(gone).__name__)
        self._failed()
        await self._memory.publish(run_id, events)

    async def _append(self, run_id: str, events: Sequence[StreamEvent]) -> None:
        key = self._key(run_id)
        async with self._redis.pipeline(transaction=False) as pipe:
            for event in events:
                pipe.xadd(
                    key,
                    {b"e": event.event, b"d": event.data},
                    id=event.id,
                    maxlen=MOST_EVENTS,
                    approximate=True,
                )
            pipe.publish(key, b"")
            pipe.expire(key, KEEP_ENDED_SECONDS if events[-1].is_end else KEEP_LIVE_SECONDS)
            for answer in await pipe.execute(raise_on_error=False):
                # An id that is not later than the last belongs to an attempt that was overtaken: it is
                # dropped.
                if isinstance(answer, Exception) and not _is_overtaken(answer):
                    raise answer

    async def subscribe(self, run_id: str, after: str | None = None) -> AsyncIterator[StreamEvent]:
        """Events later than `after`, then live ones, from Redis and from what Redis did not take here."""
        key = self._key(run_id)
        seen, over = await self._start(key, after)
        if over:
            return
        queue: asyncio.Queue[StreamEvent | None] = asyncio.Queue()
        local = asyncio.create_task(self._follow_memory(run_id, seen, queue))
        remote = asyncio.create_task(self._follow_redis(key, seen, queue))
        try:
            last = position(seen)
            while (event := await queue.get()) is not None:
                if event.position <= last:
                    continue
                last = event.position
                yield event
                if event.is_end:
                    return
        finally:
            for task in (local, remote):
                task.cancel()
            await asyncio.gather(local, remote, return_exceptions=True)

    async def discard(self, run_id: str) -> None:
        """Drops what is kept of a run."""
        await self._memory.discard(run_id)
        with suppress(*GONE):
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._redis.delete(self._key(run_id))

    async def ping(self) -> None:
        """Raises `ConnectionError` when Redis does not answer."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._redis.ping()
        except GONE as gone:
            raise ConnectionError(f"Redis does not answer: {gone}") from gone

    async def close(self) -> None:
        """Ends every subscription and closes the connections."""
        await self._memory.close()
        await self._bells.close()
        await self._redis.aclose()

    def _key(self, run_id: str) -> str:
        return self._prefix + run_id

    async def _start(self, key: str, after: str | None) -> tuple[str, bool]:
        """The id after which to read (the given one, or the last that there is), and whether nothing follows
        it."""
        with suppress(*GONE):
            async with asyncio.timeout(TIMEOUT_SECONDS):
                latest: Any = await self._redis.xrevrange(key, count=1)
            if latest:
                last = StreamEvent(latest[0][0].decode(), latest[0][1][b"e"].decode(), b"")
                seen = last.id if after is None else after
                return seen, last.is_end and position(seen) >= last.position
        return after or "0-0", False

    async def _follow_memory(self, run_id: str, after: str, queue: asyncio.Queue[StreamEvent | None]) -> None:
        async for event in self._memory.subscribe(run_id, after):
            await queue.put(event)
        await queue.put(None)

    async def _follow_redis(self, key: str, after: str, queue: asyncio.Queue[StreamEvent | None]) -> None:
        last = "0-0" if position(after) < (0, 0) else after
        async with self._bells.listen(key) as bell:
            while True:
                # Cleared before the look: what comes while Redis answers causes another one.
                bell.clear()
                for event in await self._page(key, last):
                    await queue.put(event)
                    last = event.id
                    if event.is_end:
                        return
                    bell.set()
                with suppress(TimeoutError):
                    await asyncio.wait_for(bell.wait(), RECHECK_SECONDS)

    async def _page(self, key: str, last: str) -> Sequence[StreamEvent]:
        """The next entries; none when Redis is away."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                entries: Any = await self._redis.xrange(key, min=f"({last}", count=PAGE)
        except GONE:
            return ()
        return [
            StreamEvent(entry_id.decode(), fields[b"e"].decode(), fields[b"d"])
            for entry_id, fields in entries
        ]


def _is_overtaken(answer: Exception) -> bool:
    """Whether Redis refused an entry because a later one is there already."""
    return isinstance(answer, ResponseError) and "equal or smaller" in str(answer)
