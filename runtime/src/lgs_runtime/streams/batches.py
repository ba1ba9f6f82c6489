"""Sends the events of all runs of a replica to Redis, in one round trip at a time, which takes all events
that came during the last one.

A round trip is one call of a script, so that an event adds no more than its bytes: in a batch of a hundred
each costs six microseconds, where a command for each cost twenty-five. Round trips begin `PACE_SECONDS`
apart, since the tokens of hundreds of runs come one by one; the end of a run does not wait for that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis

from lgs_runtime.cancelling import cancelled
from lgs_runtime.redis_clients import GONE
from lgs_runtime.streams.contract import Delivery
from lgs_runtime.streams.events import StreamEvent
from lgs_runtime.streams.reachability import Reachability

MOST_EVENTS = 10_000
MOST_AT_ONCE = 500
PACE_SECONDS = 0.01
KEEP_LIVE_SECONDS = 24 * 3600
KEEP_ENDED_SECONDS = 300
RENEW_EXPIRY_SECONDS = 60.0
MOST_REMEMBERED = 20_000
TIMEOUT_SECONDS = 2.0
APPEND = """
-- KEYS: streams. ARGV: how many events a stream may hold, the seconds after which one goes where nothing else
-- is known; then for each stream the number of its events, the seconds after which it goes ('0': as said
-- before, which a Redis that was started again does not know), and of each event its id, name and data.
-- Gives the numbers of the events that were refused, since a later one is there. What is there already was
-- taken before, and its answer was lost. What is no stream was written by somebody else, and makes room.
local refused, at, number = {}, 3, 0
local function append(key, at)
  return redis.pcall('XADD', key, 'MAXLEN', '~', ARGV[1], ARGV[at], 'e', ARGV[at + 1], 'd', ARGV[at + 2])
end
for _, key in ipairs(KEYS) do
  local count, keep = tonumber(ARGV[at]), ARGV[at + 1]
  at = at + 2
  for _ = 1, count do
    local reply = append(key, at)
    if type(reply) == 'table' and reply.err and string.find(reply.err, 'WRONGTYPE') then
      redis.call('DEL', key)
      reply = append(key, at)
    end
    if type(reply) == 'table' and reply.err then
      if not string.find(reply.err, 'equal or smaller') then return reply end
      if #redis.call('XRANGE', key, ARGV[at], ARGV[at]) == 0 then refused[#refused + 1] = number end
    end
    at, number = at + 3, number + 1
  end
  if keep == '0' and redis.call('TTL', key) == -1 then keep = ARGV[2] end
  if keep ~= '0' then redis.call('EXPIRE', key, keep) end
  redis.call('PUBLISH', key, '')
end
return refused
"""
Batch = dict[str, list[StreamEvent]]
"""Events by the key of their stream."""


class Batches:
    """Appends events to streams by key, for each key in the order of the calls of `append`."""

    def __init__(
        self,
        redis: Redis,
        reachability: Reachability,
        took: Callable[[str, Sequence[StreamEvent]], None],
        lost: Callable[[str, Sequence[StreamEvent]], None],
    ) -> None:
        """`took` is called with a key and those of its events that Redis has appended, `lost` with those that
        Redis did not take, because it was away or refused the batch."""
        self._append = redis.register_script(APPEND)
        self._reachability = reachability
        self._took = took
        self._lost = lost
        self._waiting: Batch = {}
        self._delivery = Delivery()
        self._writer: asyncio.Task[None] | None = None
        self._pressing = asyncio.Event()
        self._expires: dict[str, float] = {}

    def append(self, key: str, events: Sequence[StreamEvent]) -> Delivery:
        """Takes events; the delivery completes when Redis has them, or is found to be away."""
        self._waiting.setdefault(key, []).extend(events)
        if events[-1].is_end:
            self._pressing.set()
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="stream-batches")
        return self._delivery

    def forget(self, key: str) -> None:
        """Forgets a key whose stream is gone."""
        self._expires.pop(key, None)

    async def close(self) -> None:
        """Stops sending: what is still on its way is lost."""
        if self._writer is not None:
            await cancelled([self._writer])
        self._delivery.arrived()

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, {}
            delivery, self._delivery = self._delivery, Delivery()
            self._pressing.clear()
            began = time.monotonic()
            try:
                for part in parts(batch):
                    await self._send(part)
            finally:
                delivery.arrived()
            with suppress(TimeoutError):
                async with asyncio.timeout(began + PACE_SECONDS - time.monotonic()):
                    await self._pressing.wait()

    async def _send(self, batch: Batch) -> None:
        # Listeners in this replica wait for this round trip too, whichever runs they follow.
        if not self._reachability.away:
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    refused = await self._round_trip(batch)
            except GONE as failed:
                self._expires.clear()
                self._reachability.failed(failed)
            else:
                self._deliver(batch, refused)
                return
        for key, events in batch.items():
            self._lost(key, events)

    async def _round_trip(self, batch: Batch) -> Sequence[int]:
        """Sends a batch; returns the places in it of the events that were refused, because later ones (those
        of a later attempt) are there."""
        said: list[Any] = [MOST_EVENTS, KEEP_LIVE_SECONDS]
        for key, events in batch.items():
            said += (len(events), self._expiry(key, ended=events[-1].is_end))
            for event in events:
                said += (event.id, event.event, event.data)
        refused: Sequence[int] = await self._append(keys=list(batch), args=said)
        return refused

    def _deliver(self, batch: Batch, refused: Sequence[int]) -> None:
        if not refused:
            for key, events in batch.items():
                self._took(key, events)
            return
        overtaken, number = frozenset(refused), 0
        for key, events in batch.items():
            taken = [event for place, event in enumerate(events, number) if place not in overtaken]
            number += len(events)
            if taken:
                self._took(key, taken)

    def _expiry(self, key: str, *, ended: bool) -> int:
        """Seconds after which Redis is to drop the stream; 0 if that was sent recently, so that it is not
        sent with each token."""
        now = time.monotonic()
        if ended:
            self._expires.pop(key, None)
            return KEEP_ENDED_SECONDS
        if self._expires.get(key, 0.0) > now:
            return 0
        if len(self._expires) >= MOST_REMEMBERED:
            self._expires.clear()
        self._expires[key] = now + RENEW_EXPIRY_SECONDS
        return KEEP_LIVE_SECONDS


def parts(batch: Batch) -> list[Batch]:
    """Splits a batch into several of at most `MOST_AT_ONCE` events, in order."""
    found: list[Batch] = []
    size = 0
    for key, events in batch.items():
        for start in range(0, len(events), MOST_AT_ONCE):
            piece = events[start : start + MOST_AT_ONCE]
            if not found or size + len(piece) > MOST_AT_ONCE:
                found.append({})
                size = 0
            found[-1][key] = piece
            size += len(piece)
    return found
