"""Passes events between the replicas of a service: one Redis Stream per run.

An event's id is the id of its stream entry, so that reading goes on at a client's `Last-Event-ID`, and Redis
itself refuses an event that is not later than the last. Listeners in the replica that executes the run get
each event when Redis has it, and read nothing from Redis. Listeners elsewhere are notified by Redis (over one
connection per replica), and then read the entries. Events that Redis does not take go to the memory of this
replica, so that the clients here miss nothing; listeners elsewhere go on when Redis is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any, TypeVar

from redis.asyncio import Redis

from lgs_runtime.redis_addresses import parse_redis
from lgs_runtime.redis_clients import GONE, close, connect
from lgs_runtime.streams.batches import TIMEOUT_SECONDS, Batches
from lgs_runtime.streams.contract import Delivery
from lgs_runtime.streams.events import FROM_START, StreamEvent, position, up_to_end
from lgs_runtime.streams.memory import MemoryBroker
from lgs_runtime.streams.reachability import Reachability
from lgs_runtime.streams.redis_pubsub import RedisPubSub
from lgs_runtime.streams.subscribers import Subscriber, SubscriberRegistry

PAGE = 500
MOST_CONNECTIONS = 32
RECHECK_SECONDS = 3.0
SOON_SECONDS = 0.1
"""Seconds for which a new listener waits for an event of the run in this replica, before it subscribes at
Redis."""
Place = tuple[int, int]
START = position(FROM_START)
T = TypeVar("T")


class RedisBroker:
    """A `StreamBroker` over Redis Streams. `failed` is called for each batch that Redis did not take."""

    def __init__(
        self, redis: Redis, listened: Redis, service: str, failed: Callable[[], None] = lambda: None
    ) -> None:
        """`listened`: the client that receives the messages of other replicas; may be the same one."""
        self._redis = redis
        self._listened = listened
        self._prefix = f"lgs:{service}:stream:"
        self._failed = failed
        self._memory = MemoryBroker()
        self._pubsub = RedisPubSub(listened)
        self._subscribers = SubscriberRegistry()
        self._reachability = Reachability(redis, self._prefix, TIMEOUT_SECONDS)
        self._batches = Batches(redis, self._reachability, self._subscribers.deliver, self._keep)

    @classmethod
    def connect(cls, uri: str, service: str, failed: Callable[[], None] = lambda: None) -> RedisBroker:
        """A broker for the Redis at a URI, which need not be reachable yet."""
        # Bounded: a burst of listeners waits for a connection instead of opening hundreds.
        client = partial(connect, uri, timeout_seconds=TIMEOUT_SECONDS, health_seconds=15)
        redis = client(most_connections=MOST_CONNECTIONS)
        if parse_redis(uri).is_cluster:
            # One script appends to the streams of many runs: in a Cluster they need the same hash tag.
            return cls(redis, redis, f"{{{service}}}", failed)
        # A connection that one task reads while another subscribes must not be reopened by the driver.
        return cls(redis, client(most_connections=1, resends=False), service, failed)

    @property
    def away(self) -> bool:
        """Whether Redis did not answer when it was last asked."""
        return self._reachability.away

    def publish(self, run_id: str, events: Sequence[StreamEvent]) -> Delivery:
        """Appends events, together with those of other runs. The delivery completes even if Redis is away."""
        return self._batches.append(self._key(run_id), events)

    def _keep(self, key: str, events: Sequence[StreamEvent]) -> None:
        """Keeps events here that Redis did not take, and notifies the listeners here."""
        self._failed()
        self._subscribers.deliver(key, self._memory.append(key, events))

    async def subscribe(
        self, run_id: str, after: str | None = None, subscriber: Subscriber | None = None
    ) -> AsyncGenerator[Sequence[StreamEvent], None]:
        """Events later than `after`, then live ones, from Redis and from those that Redis did not take from
        this replica."""
        key = self._key(run_id)
        # Subscribes first: events published while Redis is read are received, and dropped if they were read
        # too.
        with self._subscribers.listening(key, subscriber) as listening:
            if after is None or not _is_start(position(after)):
                latest = await self._latest(key)
                if after is None:
                    after = latest.id if latest else FROM_START
                if latest and latest.is_end and latest.position <= position(after):
                    return
            async with aclosing(self._events_after(key, position(after), listening)) as received:
                async for events in received:
                    whole = up_to_end(events)
                    yield whole
                    if whole[-1].is_end:
                        return

    async def _events_after(
        self, key: str, after: Place, subscriber: Subscriber
    ) -> AsyncGenerator[Sequence[StreamEvent], None]:
        """All events later than `after`: first those that are kept, then those published in this replica, and
        those published elsewhere while this replica is silent."""
        last, patience = after, SOON_SECONDS
        # A listener that comes as the run begins here gets all of it, and need not ask Redis for earlier
        # events.
        if last == START or not _is_start(last) or not await subscriber.woken(SOON_SECONDS):
            async for page in self._kept(key, last):
                yield page
                last = page[-1].position
        while True:
            received = subscriber.take()
            for _, part in groupby(received, _epoch):
                events = list(part)
                if not _follows(last, events[0].position):
                    # An attempt begins here, or its beginning was not received: there may be earlier events.
                    async for page in self._kept(key, last):
                        yield page
                        last = page[-1].position
                if new := [event for event in events if event.position > last]:
                    yield new
                    last = new[-1].position
                patience = RECHECK_SECONDS
            if received:
                continue
            if subscriber.over:
                return
            if not await subscriber.woken(patience):
                async with aclosing(self._published_elsewhere(key, last, subscriber)) as pages:
                    async for page in pages:
                        yield page
                        last = page[-1].position

    async def _published_elsewhere(
        self, key: str, after: Place, subscriber: Subscriber
    ) -> AsyncGenerator[Sequence[StreamEvent], None]:
        """The events published elsewhere, until something is published here."""
        last = after
        with self._pubsub.listening(key, subscriber):
            while not subscriber.has_events and not subscriber.over:
                async for page in self._kept(key, last):
                    yield page
                    last = page[-1].position
                # What came while Redis answered has notified the subscriber, and causes another read.
                await subscriber.woken(RECHECK_SECONDS)

    async def _kept(self, key: str, after: Place) -> AsyncGenerator[Sequence[StreamEvent], None]:
        """The kept events later than `after`, those in Redis and those that Redis did not take, in order."""
        more = True
        while more:
            page = await self._page(key, after)
            more = len(page) == PAGE
            untaken = self._memory.kept(key, after)
            if untaken and not more:
                # Redis may have taken events although its answer was lost.
                both = {event.position: event for event in (*page, *untaken)}
                page = [both[place] for place in sorted(both)]
            if new := [event for event in page if event.position > after]:
                yield new
                after = new[-1].position

    async def discard(self, run_id: str) -> None:
        """Drops the kept events of a run."""
        key = self._key(run_id)
        await self._memory.discard(key)
        self._batches.forget(key)
        self._subscribers.end(key)
        await self._asked(lambda: self._redis.delete(key), bool)

    async def ping(self) -> None:
        """Raises `ConnectionError` when Redis does not answer."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._redis.ping()
        except GONE as gone:
            raise ConnectionError(f"Redis does not answer: {gone}") from gone

    async def close(self) -> None:
        """Ends every subscription and closes the connections."""
        self._subscribers.end_all()
        await self._batches.close()
        await self._reachability.close()
        await self._memory.close()
        await self._pubsub.close()
        await close(self._listened)
        await close(self._redis)

    def _key(self, run_id: str) -> str:
        return self._prefix + run_id

    async def _latest(self, key: str) -> StreamEvent | None:
        """The last event, without its data if it is from Redis. While Redis is away, only the events kept
        here count."""
        found = self._memory.kept(key, START)[-1:]
        latest = await self._asked(lambda: self._redis.xrevrange(key, count=1), _events)
        found += [replace(event, data=b"") for event in latest or ()]
        return max(found, key=lambda event: event.position, default=None)

    async def _page(self, key: str, last: Place) -> list[StreamEvent]:
        """The next events in Redis; none while Redis is away."""
        begin = "-" if last == START else f"({last[0]}-{last[1]}"
        return await self._asked(lambda: self._redis.xrange(key, min=begin, count=PAGE), _events) or []

    async def _asked(self, command: Callable[[], Any], read: Callable[[Any], T]) -> T | None:
        """What `read` makes of Redis' answer; None if Redis refuses or is away, for which one caller waits
        and not all."""
        if self._reachability.away:
            return None
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return read(await command())
        except GONE as failed:
            self._reachability.failed(failed)
            return None


def _events(entries: Sequence[tuple[bytes, Mapping[bytes, bytes]]] | None) -> list[StreamEvent]:
    """The events of stream entries; entries that somebody else added are left out."""
    return [
        StreamEvent(entry_id.decode(), fields[b"e"].decode(errors="replace"), fields[b"d"])
        for entry_id, fields in entries or ()
        if b"e" in fields and b"d" in fields
    ]


def _epoch(event: StreamEvent) -> int:
    return event.position[0]


def _is_start(place: Place) -> bool:
    """Whether no event of the same attempt comes before this place."""
    return place[1] == 0


def _follows(last: Place, following: Place) -> bool:
    """Whether a listener that has all events up to `last`, and then gets `following`, has missed none: of an
    attempt it can only miss events from before it listened."""
    return following[0] == last[0] and (last[1] > 0 or following[1] == 1)
