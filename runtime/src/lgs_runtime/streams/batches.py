"""Events of all runs of a replica on their way to Redis: one round trip at a time, which takes what has come
meanwhile.

A token alone is a round trip of its own; under load a hundred share one, so that a token costs microseconds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from lgs_runtime.streams.contract import StreamEvent

MOST_EVENTS = 10_000
MOST_AT_ONCE = 500
KEEP_LIVE_SECONDS = 24 * 3600
KEEP_ENDED_SECONDS = 300
TELL_AGAIN_SECONDS = 60.0
MOST_REMEMBERED = 20_000
TIMEOUT_SECONDS = 2.0
AWAY_SECONDS = 1.0
GONE = (RedisError, OSError, TimeoutError)
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Publication:
    """Events of one run. `taken`: those that Redis has as the latest of their run; None when it is away."""

    key: str
    events: Sequence[StreamEvent]
    taken: asyncio.Future[Sequence[StreamEvent] | None]


class Batches:
    """Appends to the streams of keys, in the order of `append` for each key."""

    def __init__(
        self, redis: Redis, told: Callable[[Publication, Sequence[StreamEvent] | None], None]
    ) -> None:
        """`told` is called with each publication and its `taken`, in order, before `append` returns."""
        self._redis = redis
        self._told = told
        self._waiting: list[Publication] = []
        self._writer: asyncio.Task[None] | None = None
        self._away_until = 0.0
        self._expires: dict[str, float] = {}

    async def append(self, key: str, events: Sequence[StreamEvent]) -> Sequence[StreamEvent] | None:
        """Waits until Redis has the events; gives those that it took, None when it is away."""
        publication = Publication(key, events, asyncio.get_running_loop().create_future())
        self._waiting.append(publication)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="stream-batches")
        return await publication.taken

    def forget(self, key: str) -> None:
        """The stream of a key is gone."""
        self._expires.pop(key, None)

    async def close(self) -> None:
        """What is still on its way is lost."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        for publication in self._waiting:
            publication.taken.cancel()

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
            try:
                taken = await self._send(batch)
            except BaseException as raised:
                for publication in batch:
                    if not publication.taken.done():
                        publication.taken.set_exception(raised)
                raise
            for publication, events in zip(batch, taken, strict=True):
                self._told(publication, events)
                if not publication.taken.done():
                    publication.taken.set_result(events)

    async def _send(self, batch: Sequence[Publication]) -> Sequence[Sequence[StreamEvent] | None]:
        # For a moment nobody asks again: a run must not wait two seconds for each of its tokens.
        if time.monotonic() >= self._away_until:
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    return await self._round_trip(batch)
            except GONE as gone:
                self._away_until = time.monotonic() + AWAY_SECONDS
                self._expires.clear()
                log.warning("streams.redis_gone", reason=str(gone) or type(gone).__name__)
        return [None] * len(batch)

    async def _round_trip(self, batch: Sequence[Publication]) -> Sequence[Sequence[StreamEvent]]:
        """What Redis took of each. Raises what Redis answers, unless an event was overtaken."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for publication in batch:
                for event in publication.events:
                    fields: Any = {b"e": event.event, b"d": event.data}
                    pipe.xadd(publication.key, fields, id=event.id, maxlen=MOST_EVENTS, approximate=True)
            for key, ended in {each.key: each.events[-1].is_end for each in batch}.items():
                pipe.publish(key, b"")
                if (keep_seconds := self._expiry(key, ended)) is not None:
                    pipe.expire(key, keep_seconds)
            answers = iter(await pipe.execute(raise_on_error=False))
        taken = [[event for event in each.events if not _overtaken(next(answers))] for each in batch]
        for answer in answers:  # of PUBLISH and EXPIRE
            _overtaken(answer)
        return taken

    def _expiry(self, key: str, ended: bool) -> int | None:
        """Seconds after which Redis is to drop the stream; None when it has been told a moment ago, so that
        this does not go with each token."""
        now = time.monotonic()
        if ended:
            self._expires.pop(key, None)
            return KEEP_ENDED_SECONDS
        if self._expires.get(key, 0.0) > now:
            return None
        if len(self._expires) >= MOST_REMEMBERED:
            self._expires.clear()
        self._expires[key] = now + TELL_AGAIN_SECONDS
        return KEEP_LIVE_SECONDS


def _overtaken(answer: Any) -> bool:
    """Whether Redis refused an event because a later one is there: it belongs to an attempt that was
    overtaken. Raises any other error."""
    if not isinstance(answer, Exception):
        return False
    if isinstance(answer, ResponseError) and "equal or smaller" in str(answer):
        return True
    raise answer
