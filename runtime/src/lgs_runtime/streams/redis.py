"""Events between the replicas of a cluster: one Redis Stream a run.

An event's id is the stream entry's, so a client's `Last-Event-ID` is where reading goes on, and Redis itself
refuses what is not later than the last. Who listens in the replica that executes the run gets each event
when Redis has it, and reads nothing from Redis. Who listens elsewhere is rung by Redis (one connection for
all of a replica) and reads the entries then.
What Redis does not take goes to the memory of this replica, so the clients here miss nothing; whoever
listens elsewhere goes on when Redis is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis

from lgs_runtime.streams.batches import GONE, TIMEOUT_SECONDS, Batches, Publication
from lgs_runtime.streams.bells import Bells
from lgs_runtime.streams.contract import FROM_START, StreamEvent, position
from lgs_runtime.streams.ears import Ear, Ears
from lgs_runtime.streams.memory import MemoryBroker

PAGE = 500
MOST_CONNECTIONS = 32
RECHECK_SECONDS = 3.0
SOON_SECONDS = 0.1
"""So long a new listener waits for the run to speak in this replica, before it has Redis ring for it."""


class RedisBroker:
    """A `StreamBroker` over Redis Streams. `failed` is called for each batch that Redis did not take."""

    def __init__(self, redis: Redis, service: str, failed: Callable[[], None] = lambda: None) -> None:
        self._redis = redis
        self._prefix = f"lgs:{service}:stream:"
        self._failed = failed
        self._memory = MemoryBroker()
        self._bells = Bells(redis)
        self._ears = Ears()
        self._batches = Batches(redis, self._tell)

    @classmethod
    def connect(cls, uri: str, service: str, failed: Callable[[], None] = lambda: None) -> RedisBroker:
        """A broker for a URI; Redis need not be there yet."""
        # Bounded: a burst of listeners waits for a connection instead of opening hundreds.
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
        """Appends events, together with those of other runs. Never raises for a Redis that is away."""
        if events and await self._batches.append(self._key(run_id), events) is None:
            self._failed()

    def _tell(self, publication: Publication, taken: Sequence[StreamEvent] | None) -> None:
        """Who listens here hears what Redis took, and what it could not take but keeps here."""
        if taken is None:
            taken = self._memory.append(publication.key, publication.events)
        self._ears.hear(publication.key, taken)

    async def subscribe(self, run_id: str, after: str | None = None) -> AsyncIterator[StreamEvent]:
        """Events later than `after`, then live ones, from Redis and from what Redis did not take here."""
        key = self._key(run_id)
        # The ear first: what is published while Redis is read is heard, and dropped if it was read too.
        with self._ears.listening(key) as ear:
            if after is None or after != FROM_START:
                latest = await self._latest(key)
                if after is None:
                    after = latest.id if latest else FROM_START
                if latest and latest.is_end and latest.position <= position(after):
                    return
            async with aclosing(self._heard(key, after, ear)) as heard:
                async for event in heard:
                    yield event
                    if event.is_end:
                        return

    async def _heard(self, key: str, after: str, ear: Ear) -> AsyncGenerator[StreamEvent, None]:
        """All events later than `after`: what there is, then those of this replica; and those of others while
        this one is silent."""
        last, patience = after, SOON_SECONDS
        async for event in self._kept(key, last):
            yield event
            last = event.id
        while not ear.over:
            while ear.events:
                event = ear.events.popleft()
                if position(event.id)[0] != position(last)[0]:
                    # An attempt begins here: the one before may have spoken elsewhere, unheard so far.
                    async for earlier in self._kept(key, last):
                        yield earlier
                        last = earlier.id
                if event.position > position(last):
                    yield event
                    last = event.id
                patience = RECHECK_SECONDS
            ear.news.clear()
            if await ear.silent(patience):
                async with aclosing(self._rung(key, last, ear)) as rung:
                    async for event in rung:
                        yield event
                        last = event.id

    async def _rung(self, key: str, after: str, ear: Ear) -> AsyncGenerator[StreamEvent, None]:
        """What is published elsewhere, until something is published here."""
        last = after
        with self._bells.listening(key, ear.news):
            while not ear.events and not ear.over:
                # Cleared before the look: what comes while Redis answers causes another one.
                ear.news.clear()
                async for event in self._kept(key, last):
                    yield event
                    last = event.id
                await ear.silent(RECHECK_SECONDS)

    async def _kept(self, key: str, after: str) -> AsyncGenerator[StreamEvent, None]:
        """What is kept later than `after`, by Redis and of what it did not take, in order."""
        more = True
        while more:
            page = await self._page(key, after)
            more = len(page) == PAGE
            untaken = self._memory.later_than(key, after)
            if untaken and not more:
                page = sorted([*page, *untaken], key=lambda event: event.position)
            for event in page:
                if event.position > position(after):
                    yield event
                    after = event.id

    async def discard(self, run_id: str) -> None:
        """Drops what is kept of a run."""
        key = self._key(run_id)
        await self._memory.discard(key)
        self._batches.forget(key)
        self._ears.end(key)
        with suppress(*GONE):
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._redis.delete(key)

    async def ping(self) -> None:
        """Raises `ConnectionError` when Redis does not answer."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._redis.ping()
        except GONE as gone:
            raise ConnectionError(f"Redis does not answer: {gone}") from gone

    async def close(self) -> None:
        """Ends every subscription and closes the connections."""
        self._ears.end_all()
        await self._batches.close()
        await self._memory.close()
        await self._bells.close()
        await self._redis.aclose()

    def _key(self, run_id: str) -> str:
        return self._prefix + run_id

    async def _latest(self, key: str) -> StreamEvent | None:
        """The last event that there is, its data left out; of those here alone when Redis is away."""
        found = self._memory.later_than(key, FROM_START)[-1:]
        with suppress(*GONE):
            async with asyncio.timeout(TIMEOUT_SECONDS):
                latest: Any = await self._redis.xrevrange(key, count=1)
            found += [StreamEvent(entry[0].decode(), entry[1][b"e"].decode(), b"") for entry in latest]
        return max(found, key=lambda event: event.position, default=None)

    async def _page(self, key: str, last: str) -> list[StreamEvent]:
        """The next entries; none when Redis is away."""
        begin = "-" if last == FROM_START else f"({last}"
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                entries: Any = await self._redis.xrange(key, min=begin, count=PAGE)
        except GONE:
            return []
        return [
            StreamEvent(entry_id.decode(), fields[b"e"].decode(), fields[b"d"])
            for entry_id, fields in entries
        ]
