"""The entries of the response cache in Redis. Loaded only where a Redis is configured: its client takes long
to import.

The lease of a key has the key's hash tag, so that one script can use both in a Redis Cluster. A value that
somebody else has put under one of our keys is overwritten.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from functools import partial
from typing import Any, Final
from uuid import uuid4

from redis.exceptions import ConnectionError as RedisConnectionError

from lgs_runtime.cache.shared import Change, SharedCacheRefused, SharedCacheUnavailable, Stored, Written
from lgs_runtime.redis_clients import GONE, NO_REDIS, close, connect, is_refusal
from lgs_runtime.tracebacks import named_text

TIMEOUT_SECONDS = 1.0
MOST_CONNECTIONS = 16
HEALTH_SECONDS = 5.0
"""Seconds after which a silently dead connection is detected, approximately; a subscription after twice
that."""
ANEW_SECONDS = 0.02
"""Seconds between the end of a broken subscription and the next one."""
SCAN_PAGE = 500
CLEAR_SECONDS = 30.0
LEASE: Final = ":lease"
HELD: Final = """
local function held(key)
  -- What is of another type is no entry of ours: nobody can read it.
  local value = redis.pcall('GET', key)
  if type(value) ~= 'table' then return value end
  return string.find(value.err, 'WRONGTYPE') and '' or redis.call('GET', key)
end
"""
TAKEN: Final = """
local function taken(key, token, life)
  if redis.call('SET', key, token, 'NX', 'PX', life) then return 1 end
  -- A lease ends. What doesn't, or lives longer than any, is somebody else's, and would keep all waiting.
  local left = redis.call('PTTL', key)
  -- The caller's own was taken before, and that answer was lost.
  if left >= 0 and left <= tonumber(life) and redis.pcall('GET', key) ~= token then return 0 end
  redis.call('SET', key, token, 'PX', life)
  return 1
end
"""
READ: Final = f"""{HELD}
local value = held(KEYS[1])
return value and {{value, redis.call('PTTL', KEYS[1])}}
"""
READ_OR_LEASE: Final = f"""{HELD}{TAKEN}
local value = held(KEYS[1])
if value then return {{value, redis.call('PTTL', KEYS[1])}} end
return taken(KEYS[2], ARGV[1], ARGV[2])
"""
LEASE_ANEW: Final = f"{TAKEN} return taken(KEYS[1], ARGV[1], ARGV[2])"
RENEW: Final = f"""{HELD}
return held(KEYS[1]) == ARGV[1] and redis.call('PEXPIRE', KEYS[1], ARGV[2]) or 0
"""
RELEASE: Final = f"""{HELD}
return held(KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0
"""
WRITE_LEASED: Final = f"""{HELD}
-- What is there already was written before, and that answer was lost.
if held(KEYS[2]) ~= ARGV[1] then return held(KEYS[1]) == ARGV[2] and 1 or 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return redis.call('DEL', KEYS[2])
"""
COUNT: Final = f"""{HELD}
local now, life, most = tonumber(redis.call('TIME')[1]), tonumber(ARGV[1]), tonumber(ARGV[2])
if redis.call('TYPE', KEYS[1]).ok ~= 'zset' then redis.call('DEL', KEYS[1]) end
local since = tonumber(held(KEYS[2]) or now)
if not since or not (since >= 0 and since <= now) then since = now end
local halvings = math.floor((now - since) / life)
if halvings > 0 then
  local all = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
  for at = 1, #all, 2 do redis.call('ZADD', KEYS[1], tonumber(all[at + 1]) / 2 ^ halvings, all[at]) end
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', 0.5)
  since = since + halvings * life
end
local reply = {{tostring(life + now - since)}}
for at = 3, #ARGV, 2 do reply[#reply + 1] = redis.call('ZINCRBY', KEYS[1], ARGV[at + 1], ARGV[at]) end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - most)
redis.call('EXPIRE', KEYS[1], 10 * life)
redis.call('SET', KEYS[2], since, 'EX', 10 * life)
return reply
"""
"""Counts are halved every `HALF_LIFE_SECONDS`, so that a count stands for the requests of one half-life and
of the time since the last halving. Requests that are sent twice count twice, and fade like the rest."""
HALF_LIFE_SECONDS: Final = 60
MOST_COUNTED: Final = 4096


class RedisEntries:
    """A `SharedCache` in the Redis at a URI, which need not be reachable yet."""

    def __init__(self, uri: str, channel: str) -> None:
        # Bounded: a burst of lookups waits for a connection instead of opening hundreds.
        self._connect = partial(
            connect,
            uri,
            most_connections=MOST_CONNECTIONS,
            timeout_seconds=TIMEOUT_SECONDS,
            health_seconds=HEALTH_SECONDS,
        )
        self._redis = self._connect()
        # Separate, because a burst of lookups waits for connections, and that must not count as a slow Redis.
        self._pinged = self._connect(most_connections=1)
        self._channel = channel
        self._sender = uuid4().hex

    async def ping(self) -> None:
        """Checks that Redis accepts writes: one that is full, or that follows a master, still answers
        PING."""
        async with answered():
            await self._pinged.set(f"{self._channel}-probe", b"", px=milliseconds(TIMEOUT_SECONDS))

    async def read(self, keys: Sequence[str]) -> Sequence[Stored | None]:
        """The entry of each key."""
        return [_stored(found) for found in await self._at_once([("EVAL", READ, 1, key) for key in keys])]

    async def read_or_lease(self, key: str, token: str, seconds: float) -> Stored | bool:
        """The entry, or whether the caller has the lease now."""
        async with self._asked(key):
            found = await self._redis.eval(READ_OR_LEASE, 2, key, key + LEASE, token, milliseconds(seconds))
        return _stored(found) or bool(found)

    async def lease(self, key: str, token: str, seconds: float) -> bool:
        """Whether the caller has the lease now."""
        async with self._asked(key):
            return bool(await self._redis.eval(LEASE_ANEW, 1, key + LEASE, token, milliseconds(seconds)))

    async def renew(self, leases: Sequence[tuple[str, str]], seconds: float) -> None:
        """Extends leases."""
        life = milliseconds(seconds)
        await self._at_once([("EVAL", RENEW, 1, key + LEASE, token, life) for key, token in leases])

    async def release(self, key: str, token: str) -> None:
        """Gives a lease back."""
        async with self._asked(key):
            await self._redis.eval(RELEASE, 1, key + LEASE, token)

    async def write(self, entries: Sequence[Written]) -> None:
        """Stores entries."""
        await self._at_once(
            [("SET", entry.key, entry.raw, "PX", milliseconds(entry.seconds)) for entry in entries]
        )

    async def write_leased(self, entry: Written, token: str) -> bool:
        """Stores an entry under its lease."""
        key, life = entry.key, milliseconds(entry.seconds)
        async with self._asked(key):
            return bool(await self._redis.eval(WRITE_LEASED, 2, key, key + LEASE, token, entry.raw, life))

    async def forget(self, key: str) -> bool:
        """Deletes an entry and its lease."""
        async with self._asked(key):
            await self._redis.unlink(key + LEASE)
            return bool(await self._redis.unlink(key))

    async def clear(self, prefix: str) -> int:
        """Deletes all keys with this prefix, page by page; returns how many entries there were."""
        async with answered(CLEAR_SECONDS):
            return await self._cleared(prefix)

    async def count(self, asked: Mapping[str, int]) -> Mapping[str, float]:
        """Counts requests of keys, and returns the requests per second of each at all replicas."""
        counts = [part for key, times in asked.items() for part in (key, times)]
        # These begin with `lgs:`, like all keys of a service: its Redis user may have access to no others.
        keys = (f"lgs:{{{self._channel}-counts}}", f"lgs:{{{self._channel}-counts}}:halved")
        async with self._asked(keys[0]):
            reply = await self._redis.eval(COUNT, 2, *keys, HALF_LIFE_SECONDS, MOST_COUNTED, *counts)
            seconds, *found = map(float, reply)
            return {key: count / seconds for key, count in zip(asked, found, strict=True)}

    async def announce(self, change: Change) -> None:
        """Sends a change to the other replicas."""
        async with answered():
            await self._publish(f"{self._sender}\n{change.key}\n{change.prefix}")

    async def changes(self) -> AsyncGenerator[Change, None]:
        """The changes that the other replicas announce. A subscription that breaks is replaced."""
        while True:
            began = False
            try:
                async with aclosing(self._subscription()) as changes:
                    async for change in changes:
                        began = True
                        yield change
            except GONE as failed:
                if not began or not isinstance(failed, ConnectionError | RedisConnectionError):
                    raise _told(failed) from failed
            await asyncio.sleep(ANEW_SECONDS)

    async def close(self) -> None:
        """Closes the connections."""
        for each in (self._redis, self._pinged):
            with suppress(*GONE):
                await close(each)

    def _asked(self, key: str) -> AbstractAsyncContextManager[None]:
        """Context of a question to whatever holds this key. Raises like `answered`."""
        return answered()

    async def _subscription(self) -> AsyncGenerator[Change, None]:
        # A separate client: that of a Cluster closes its connections when a command finds the Cluster down.
        redis = self._connect(resends=False, health_seconds=0)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await redis.initialize()
            async with self._subscriber(redis) as pubsub:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    await pubsub.subscribe(self._channel)
                async with aclosing(_messages(pubsub)) as messages:
                    async for message in messages:
                        if (change := self._change(message)) is not None:
                            yield change
        finally:
            await close(redis)

    def _subscriber(self, redis: Any) -> Any:
        return redis.pubsub()

    async def _publish(self, message: str) -> None:
        await self._redis.publish(self._channel, message)

    async def _cleared(self, prefix: str, **where: Any) -> int:
        gone = 0
        pattern = "".join(f"\\{letter}" if letter in "*?[]^\\" else letter for letter in prefix)
        async for key in self._redis.scan_iter(match=f"{pattern}*", count=SCAN_PAGE, **where):
            removed = await self._redis.unlink(key)
            gone += 0 if key.endswith(LEASE.encode()) else removed
        return gone

    async def _at_once(self, commands: Sequence[tuple[Any, ...]]) -> Sequence[Any]:
        """The answers to commands, in one round trip. All are executed, even if Redis refuses some, before a
        failure is raised."""
        async with answered(), self._redis.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            found: Sequence[Any] = await pipe.execute(raise_on_error=False)
            if failed := [each for each in found if isinstance(each, BaseException)]:
                raise next((each for each in failed if not is_refusal(each)), failed[0])
            return found

    def _change(self, message: Any) -> Change | None:
        if message["type"] not in ("subscribe", "message"):
            return None
        if message["type"] == "subscribe":
            return Change()
        sender, _, change = message["data"].decode(errors="replace").partition("\n")
        key, _, prefix = change.partition("\n")
        return None if sender == self._sender else Change(key, prefix)


async def _messages(pubsub: Any) -> AsyncGenerator[Any, None]:
    """The messages of a subscription. Raises when it stays silent even after a ping: the driver pings a
    subscription too, but goes on without an answer."""
    pinged = False
    while True:
        message = await pubsub.get_message(timeout=HEALTH_SECONDS)
        if message is not None:
            pinged = False
            yield message
        elif pinged:
            raise RedisConnectionError(f"a subscription that is silent for {2 * HEALTH_SECONDS:g} s")
        else:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await pubsub.ping()
            pinged = True


@asynccontextmanager
async def answered(seconds: float | None = None) -> AsyncIterator[None]:
    """Limits how long a caller waits for Redis, including for a connection. Raises `SharedCacheUnavailable`
    and `SharedCacheRefused`."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS if seconds is None else seconds):
            yield
    except GONE as failed:
        raise _told(failed) from failed


def _told(failed: Exception) -> SharedCacheUnavailable | SharedCacheRefused:
    if isinstance(failed, NO_REDIS):
        return SharedCacheUnavailable(f"an answer that is none of Redis: {named_text(failed)}")
    kind = SharedCacheRefused if is_refusal(failed) else SharedCacheUnavailable
    return kind(str(failed) or type(failed).__name__)


def _stored(found: Any) -> Stored | None:
    if not isinstance(found, list):
        return None
    if [*map(type, found)] != [bytes, int]:
        raise SharedCacheUnavailable("an answer that is none of Redis: no value and how long it lives")
    raw, left = found
    # An entry without an expiry was put there by somebody else, such as a copy of the keys: its age is
    # unknown.
    return Stored(raw if left >= 0 else b"", left / 1000)


def milliseconds(seconds: float) -> int:
    """Seconds as the whole milliseconds that Redis takes, at least one."""
    return max(1, int(seconds * 1000))
