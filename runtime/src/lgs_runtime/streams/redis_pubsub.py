"""Notifies subscribers when a Redis key has something new, over one pub/sub connection per replica.

A subscriber may be notified too often and, while Redis is away, not at all: so it also reads now and then
without a notification. No caller waits for Redis to subscribe or unsubscribe. Changes of the subscriptions go
to Redis in one command for all channels, so that a thousand subscribers who come at once don't queue.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from redis.asyncio import Redis

from lgs_runtime.cancelling import cancelled
from lgs_runtime.redis_clients import GONE
from lgs_runtime.streams.subscribers import Subscriber

COMMAND_SECONDS = 2.0
AWAY_SECONDS = 0.5
READ_SECONDS = 1.0


class RedisPubSub:
    """Subscribers by channel. The connection is opened for the first of them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._pubsub: Any = None
        self._subscribers: defaultdict[str, set[Subscriber]] = defaultdict(set)
        self._subscribed: set[str] = set()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @contextmanager
    def listening(self, channel: str, subscriber: Subscriber) -> Iterator[None]:
        """Notifies `subscriber` when a message comes on a channel, and once when Redis has confirmed the
        subscription: what came before then must be read."""
        self._subscribers[channel].add(subscriber)
        if channel in self._subscribed:
            subscriber.recheck()
        self._change()
        try:
            yield
        finally:
            self._subscribers[channel].discard(subscriber)
            if not self._subscribers[channel]:
                del self._subscribers[channel]
                self._change()

    async def close(self) -> None:
        """Ends the connection."""
        self._closed = True
        self._changed.set()
        if self._task is not None:
            await cancelled([self._task])
        await self._disconnect()

    def _change(self) -> None:
        self._changed.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="stream-subscribers")

    async def _run(self) -> None:
        """One connection after the other, for as long as the replica lives."""
        while not self._closed:
            await self._changed.wait()
            if not self._subscribers:
                # The subscribers have gone again: the driver can't read from a connection that never had a
                # subscription.
                self._changed.clear()
                continue
            self._pubsub = self._redis.pubsub()
            try:
                await self._synchronize()
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._synchronize_forever())
                    both.create_task(self._read_forever())
            except* GONE:
                pass
            if not self._closed:
                await self._disconnect()
                self._change()
                await asyncio.sleep(AWAY_SECONDS)

    async def _disconnect(self) -> None:
        """Closes the connection. Its subscribers are notified once, since messages may be missed."""
        lost, self._subscribed = self._subscribed, set()
        if self._pubsub is not None:
            with suppress(*GONE):
                await self._pubsub.aclose()
        self._recheck(lost)

    async def _synchronize_forever(self) -> None:
        while not self._closed:
            await self._changed.wait()
            await self._synchronize()

    async def _synchronize(self) -> None:
        """Subscribes at Redis to the channels that have listeners, and unsubscribes from the others."""
        self._changed.clear()
        wanted = set(self._subscribers)
        new, old = wanted - self._subscribed, self._subscribed - wanted
        async with asyncio.timeout(COMMAND_SECONDS):
            if new:
                await self._pubsub.subscribe(*new)
            if old:
                await self._pubsub.unsubscribe(*old)
        self._subscribed = wanted

    async def _read_forever(self) -> None:
        # A task group cancels its tasks once, and the driver may swallow the cancellation.
        while not self._closed:
            message = await self._pubsub.get_message(timeout=READ_SECONDS)
            if message is None:
                continue
            channel = message["channel"].decode()
            if message["type"] == "message":
                for subscriber in self._subscribers.get(channel, ()):
                    subscriber.wake()
            elif message["type"] == "subscribe":
                # What came before the confirmation must be read.
                self._recheck([channel])

    def _recheck(self, channels: Iterable[str]) -> None:
        for channel in channels:
            for subscriber in self._subscribers.get(channel, ()):
                subscriber.recheck()
