"""Bells that ring when a Redis key has news: one pub/sub connection for all who listen in this replica.

A bell may ring too often and, while Redis is away, not at all: who listens looks by himself now and then.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

SUBSCRIBE_SECONDS = 2.0
AWAY_SECONDS = 0.5
READ_SECONDS = 1.0
GONE = (RedisError, OSError, TimeoutError)


class Bells:
    """Bells by channel. The connection is opened with the first listener."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._pubsub: Any = None
        self._listeners: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._confirmed: dict[str, asyncio.Event] = {}
        self._task: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def listen(self, channel: str, bell: asyncio.Event) -> AsyncIterator[None]:
        """Sets `bell` when a channel has news; on entry Redis has confirmed it, unless it is away."""
        self._listeners[channel].add(bell)
        try:
            with suppress(*GONE):
                await self._subscribe(channel)
            yield
        finally:
            self._listeners[channel].discard(bell)
            if not self._listeners[channel]:
                del self._listeners[channel]
                self._confirmed.pop(channel, None)
                with suppress(*GONE):
                    await self._unsubscribe(channel)

    async def close(self) -> None:
        """Ends the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._pubsub is not None:
            with suppress(*GONE):
                await self._pubsub.aclose()

    async def _subscribe(self, channel: str) -> None:
        if (confirmed := self._confirmed.get(channel)) is None:
            confirmed = self._confirmed[channel] = asyncio.Event()
            async with self._lock, asyncio.timeout(SUBSCRIBE_SECONDS):
                if self._pubsub is None:
                    self._pubsub = self._redis.pubsub()
                await self._pubsub.subscribe(channel)
                if self._task is None:
                    self._task = asyncio.create_task(self._read(), name="stream-bells")
        async with asyncio.timeout(SUBSCRIBE_SECONDS):
            await confirmed.wait()

    async def _unsubscribe(self, channel: str) -> None:
        async with self._lock, asyncio.timeout(SUBSCRIBE_SECONDS):
            if self._pubsub is not None and channel not in self._listeners:
                await self._pubsub.unsubscribe(channel)

    async def _read(self) -> None:
        while True:
            try:
                message = await self._pubsub.get_message(timeout=READ_SECONDS)
            except GONE:
                await asyncio.sleep(AWAY_SECONDS)
                await self._reopen()
                continue
            if message is None:
                continue
            channel = message["channel"].decode()
            if message["type"] == "subscribe" and channel in self._confirmed:
                self._confirmed[channel].set()
            for bell in self._listeners.get(channel, ()):
                bell.set()

    async def _reopen(self) -> None:
        """A new connection with all channels; everybody looks once, since news may have been missed."""
        with suppress(*GONE):
            async with self._lock, asyncio.timeout(SUBSCRIBE_SECONDS):
                with suppress(*GONE):
                    await self._pubsub.aclose()
                self._pubsub = self._redis.pubsub()
                if self._listeners:
                    await self._pubsub.subscribe(*self._listeners)
        for bells in self._listeners.values():
            for bell in bells:
                bell.set()
