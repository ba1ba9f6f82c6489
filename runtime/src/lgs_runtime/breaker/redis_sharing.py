"""Shares circuits through Redis: each is a hash, and one short script changes them all. Loaded only where a
Redis is configured.

Every `EVERY_SECONDS`, and at once after a change here, a replica sends what is new and reads what is agreed,
in one round trip for all of its circuits. No call waits for it. The remaining time is measured by Redis'
clock, so the replicas' clocks need not agree. While Redis is away, each replica goes by its own calls only; a
Redis that comes back empty, or lost its latest changes in a failover, is sent everything again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog
from redis.asyncio import Redis

from lgs_runtime.breaker.circuit import Circuit
from lgs_runtime.breaker.sharing import Answer, Link, Message, Sent, answered, message_of
from lgs_runtime.breaker.state_machine import State
from lgs_runtime.breaker.window import BUCKETS, Counts
from lgs_runtime.redis_clients import GONE, close, connect

EVERY_SECONDS: Final = 0.5
TIMEOUT_SECONDS: Final = 1.0
log = structlog.get_logger(__name__)

EXCHANGE: Final = """
-- KEYS: the circuits. ARGV, for each: generation known, phase, proposal or '', ms left, recovery ms,
-- bucket ms, buckets, cause (calls, failures, slow), delta (calls, failures, slow), circuit's token, its own
-- generation, all calls of that (calls, failures, slow).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function exchange(key, at)
    local function said(place) return ARGV[at + place] end
    local known, phase, proposal = tonumber(said(1)), said(2), said(3)
    local left, recovery = tonumber(said(4)), tonumber(said(5))
    local width, buckets = tonumber(said(6)), tonumber(said(7))
    local keep = width * buckets + recovery + 3600000
    local function begin(generation, named, until_ms)
        redis.call('DEL', key)
        redis.call('HSET', key, 'generation', generation, 'phase', named, 'until', until_ms,
                   'calls', said(8), 'failures', said(9), 'slow', said(10))
    end
    local accepted = 0
    local generation
    if redis.call('TYPE', key).ok ~= 'hash' then
        redis.call('DEL', key)
    else
        generation = tonumber(redis.call('HGET', key, 'generation'))
        -- What is not whole was written by somebody else, and would keep all circuits from being shared.
        for _, number in ipairs(redis.call('HMGET', key, 'until', 'calls', 'failures', 'slow')) do
            if not tonumber(number) then generation = nil end
        end
    end
    -- What is older than what was agreed is what a failover has left of it.
    if not generation or generation < known then
        generation = known
        begin(known, phase, now + left)
    end
    if generation == known and proposal ~= '' then
        generation, accepted = generation + 1, 1
        begin(generation, proposal, proposal == 'open' and now + left or 0)
    end
    -- Probes of an open circuit count until it changes, calls of a closed one for the length of the window:
    -- that of another revision may have another, and counts by itself.
    local bucket, of_window = math.floor(now / width), width .. '_'
    local into = phase == 'closed' and of_window .. bucket or ''
    if generation == known + accepted and tonumber(said(11)) > 0 then
        -- What was counted before is sent again where the answer to it was lost.
        local own = 'r' .. said(14)
        local of, c, f, s = string.match(redis.call('HGET', key, own) or '', '^(%d+) (%d+) (%d+) (%d+) ')
        local counted = of == said(15) and {c, f, s} or {0, 0, 0}
        for place, kind in ipairs({'c', 'f', 's'}) do
            local delta = math.min(said(10 + place), math.max(0, said(15 + place) - counted[place]))
            local added = redis.pcall('HINCRBY', key, kind .. into, delta)
            -- What is no number there was written by somebody else.
            if type(added) == 'table' then redis.call('HSET', key, kind .. into, delta) end
        end
        redis.call('HSET', key, own, table.concat({said(15), said(16), said(17), said(18), now}, ' '))
    end
    local total, all = {c = 0, f = 0, s = 0}, redis.call('HGETALL', key)
    for field = 1, #all, 2 do
        local kind, window, number = string.match(all[field], '^([cfs])(%d*_?)(%d*)$')
        if kind and window == of_window and (tonumber(number) or 0) <= bucket - buckets then
            redis.call('HDEL', key, all[field])
        elseif string.sub(all[field], 1, 1) == 'r' then
            local at = tonumber(string.match(all[field + 1], '%d+$'))
            if not at or now - at > keep then redis.call('HDEL', key, all[field]) end
        elseif kind and (window == of_window or window == '') then
            total[kind] = total[kind] + (tonumber(all[field + 1]) or 0)
        end
    end
    redis.call('PEXPIRE', key, keep)
    local is = redis.call('HMGET', key, 'phase', 'until', 'calls', 'failures', 'slow')
    return {accepted, generation, is[1], math.max(0, tonumber(is[2]) - now), tonumber(is[3]), tonumber(is[4]),
            tonumber(is[5]), total.c, total.f, total.s}
end
local answers = {}
for number, key in ipairs(KEYS) do answers[number] = exchange(key, (number - 1) * 18) end
return answers
"""


class RedisSharing:
    """Shares the circuits of one replica. `circuits` is called anew for each exchange. `run` must run until
    it is cancelled."""

    def __init__(self, redis: Redis, service: str, circuits: Callable[[], Sequence[Circuit]]) -> None:
        self._redis = redis
        # A tag in braces keeps the circuits of a service together in a Redis Cluster: one script takes all.
        self._prefix = f"lgs:{{{service}}}:circuit:"
        self._circuits = circuits
        self._links: dict[Circuit, Link] = {}
        self._script = redis.register_script(EXCHANGE)
        self._changed = asyncio.Event()
        self._shared = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.away = False
        """Whether the last exchange failed."""

    @classmethod
    def connect(cls, uri: str, service: str, circuits: Callable[[], Sequence[Circuit]]) -> RedisSharing:
        """Shares through the Redis at a URI, which need not be reachable yet."""
        return cls(connect(uri, most_connections=1, timeout_seconds=TIMEOUT_SECONDS), service, circuits)

    async def run(self) -> None:
        """Sends and receives changes until it is cancelled."""
        while True:
            self._changed.clear()
            await self.exchange()
            if not self.away:
                self._shared.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_SECONDS):
                    await self._changed.wait()

    async def first_exchange(self) -> None:
        """Waits until this replica knows what the replicas have agreed on, but at most `TIMEOUT_SECONDS`: a
        Redis that is away does not keep the replica from starting."""
        with suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._shared.wait()

    async def exchange(self) -> None:
        """Exchanges the states of all circuits, in one round trip."""
        if not (circuits := self._circuits()):
            return
        said = {
            circuit: message_of(circuit.policy, self._link(circuit), circuit.state, circuit.clock())
            for circuit in circuits
        }
        try:
            answers = await self._script(
                keys=[f"{self._prefix}{circuit.kind}:{circuit.name}" for circuit in said],
                args=[word for circuit, each in said.items() for word in _arguments(circuit, each.message)],
            )
            received = list(map(_answer, answers))
        # The driver of a Cluster raises other exceptions than its own, too, while it looks for the nodes
        # again.
        except Exception as gone:  # noqa: BLE001
            self._log_access(away=str(gone) or type(gone).__name__)
            return
        self._log_access(away=None)
        self._links = {
            circuit: _linked(circuit, each, answer)
            for (circuit, each), answer in zip(said.items(), received, strict=True)
        }

    async def close(self) -> None:
        """Closes the connection and receives no more changes."""
        for circuit in self._links:
            circuit.listeners.remove(self._hurry)
        self._links.clear()
        with suppress(*GONE):
            await close(self._redis)

    def _link(self, circuit: Circuit) -> Link:
        if circuit not in self._links:
            circuit.listeners.append(self._hurry)
            self._links[circuit] = Link(local=circuit.state.generation)
        return self._links[circuit]

    def _hurry(self, _circuit: Circuit, _before: State, _after: State) -> None:
        with suppress(RuntimeError):  # The loop is closed: a breaker of the code outlives the replica.
            self._loop.call_soon_threadsafe(self._changed.set)

    def _log_access(self, away: str | None) -> None:
        if away is not None and not self.away:
            log.warning("circuits.not_shared", reason=away)
        elif away is None and self.away:
            log.info("circuits.shared")
        self.away = away is not None


def _linked(circuit: Circuit, said: Sent, answer: Answer) -> Link:
    """Applies the agreed state to the circuit; returns the link to it."""
    found = said.link

    def decide(state: State, now: float) -> State:
        nonlocal found
        state, found = answered(circuit.policy, said, answer, state, now)
        return state

    circuit.change(decide)
    return found


def _arguments(circuit: Circuit, message: Message) -> list[Any]:
    policy = circuit.policy
    return [
        message.known,
        message.phase,
        message.proposes or "",
        int(message.left_seconds * 1000),
        int(policy.recovery_timeout * 1000),
        max(1, int(policy.window_seconds * 1000 / BUCKETS)),
        BUCKETS,
        *message.cause,
        *message.delta,
        circuit.token,
        message.of,
        *message.ended,
    ]


def _answer(raw: Sequence[Any]) -> Answer:
    return Answer(
        accepted=bool(raw[0]),
        generation=int(raw[1]),
        phase="open" if raw[2] in (b"open", "open") else "closed",
        left_seconds=raw[3] / 1000,
        cause=Counts(*raw[4:7]),
        total=Counts(*raw[7:10]),
    )
