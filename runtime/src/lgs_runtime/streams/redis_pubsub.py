"""Wakes subscribers when a Redis key has something new: one pub/sub connection for all of this replica.

A subscriber may be woken too often and, while Redis is away, not at all: it looks by itself now and then.
Nobody waits for Redis to begin or to end to listen. What has changed is told to Redis in one command for all
channels, so that a thousand who come at once don't queue.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from lgs_runtime.streams.subscribers import Subscriber

COMMAND_SECONDS = 2.0
AWAY_SECONDS = 0.5
READ_SECONDS = 1.0
CANCEL_AGAIN_SECONDS = 0.1
GONE = (RedisError, OSError, TimeoutError)


class RedisPubSub:
    """Subscribers by channel. The connection is opened with the first of them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._pubsub: Any = None
        self._subscribers: defaultdict[str, set[Subscriber]] = defaultdict(set)
        self._told: set[str] = set()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @contextmanager
    def listening(self, channel: str, subscriber: Subscriber) -> Iterator[None]:
        """Wakes `subscriber` when a channel has news, and once when Redis has begun to ring for it: what came
        before then is to be looked for."""
        self._subscribers[channel].add(subscriber)
        if channel in self._told:
            subscriber.wake()
        self._changes()
        try:
            yield
        finally:
            self._subscribers[channel].discard(subscriber)
            if not self._subscribers[channel]:
                del self._subscribers[channel]
                self._changes()

    async def close(self) -> None:
        """Ends the connection."""
        self._closed = True
        self._changed.set()
        # The driver may swallow a cancellation that meets it as it connects: so it is repeated.
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=CANCEL_AGAIN_SECONDS)
        await self._hang_up()

    def _changes(self) -> None:
        self._changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._live(), name="stream-subscribers")

    async def _live(self) -> None:
        """One connection after the other, for as long as the replica lives."""
        while not self._closed:
            await self._changed.wait()
            if not self._subscribers:
                # Who came has gone again: the driver can't read where nothing was ever listened to.
                self._changed.clear()
                continue
            self._pubsub = self._redis.pubsub()
            try:
                await self._tell()
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._tell_forever())
                    both.create_task(self._read_forever())
            except* GONE:
                pass
            if not self._closed:
                await self._hang_up()
                self._changes()
                await asyncio.sleep(AWAY_SECONDS)

    async def _hang_up(self) -> None:
        """Closes the connection. Everybody looks once, since news may be missed."""
        self._told.clear()
        if self._pubsub is not None:
            with suppress(*GONE):
                await self._pubsub.aclose()
        self._ring(list(self._subscribers))

    async def _tell_forever(self) -> None:
        while not self._closed:
            await self._changed.wait()
            await self._tell()

    async def _tell(self) -> None:
        """Makes Redis ring for the channels that have listeners, and for no others."""
        self._changed.clear()
        wanted = set(self._subscribers)
        new, old = wanted - self._told, self._told - wanted
        async with asyncio.timeout(COMMAND_SECONDS):
            if new:
                await self._pubsub.subscribe(*new)
            if old:
                await self._pubsub.unsubscribe(*old)
        self._told = wanted

    async def _read_forever(self) -> None:
        # A task group cancels its tasks once, and the driver may swallow it.
        while not self._closed:
            message = await self._pubsub.get_message(timeout=READ_SECONDS)
            # A confirmation rings too: what came before it is to be looked for.
            if message is not None and message["type"] in ("message", "subscribe"):
                self._ring([message["channel"].decode()])

    def _ring(self, channels: Iterable[str]) -> None:
        for channel in channels:
            for subscriber in self._subscribers.get(channel, ()):
                subscriber.wake()
