"""What a Redis says that is there. What it refuses for one key, or of one command, concerns that alone: it
stays in use, for the cache, the streams and the circuits. What holds for all keys is an outage, until it
takes what is written again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import DataError, OutOfMemoryError, RedisError, ResponseError
from structlog.testing import capture_logs

from lgs_runtime.breaker.circuit import Circuit
from lgs_runtime.breaker.redis_sharing import RedisSharing
from lgs_runtime.breaker.state_machine import Phase, Result
from lgs_runtime.breaker.window import BUCKETS
from lgs_runtime.cache.found import Found, Life
from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.cache.place import Place
from lgs_runtime.cache.single_flight import Flight
from lgs_runtime.redis_clients import is_refusal
from lgs_runtime.streams.events import FROM_START, StreamEvent
from lgs_runtime.streams.redis import RedisBroker
from support.caches import listening
from support.circuits import POLICY
from support.no_redis import GARBLED, answering
from support.ports import PATIENCE_SECONDS, free_port
from support.redis import RedisNode, RedisServer, flush
from support.servers import running
from support.waiting import until

NewCache = Callable[..., CacheManager]
LIFE = Life(3600.0)
GONE = {"cache.redis_gone", "streams.redis_gone", "circuits.not_shared"}
BACK = {"cache.redis_back", "streams.redis_back", "circuits.shared"}
OTHER_TYPES = [("RPUSH", "x"), ("HSET", "field", "x"), ("XADD", "*", "field", "x"), ("ZADD", "1", "x")]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with running(RedisNode("--enable-debug-command", "yes", "--enable-protected-configs", "yes")) as started:
        yield started


@pytest.fixture(autouse=True)
def _patient(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine an answer may take long, which is no outage here."""
    flush(server.uri)
    for module in ("cache.redis", "streams.redis", "streams.batches", "breaker.redis_sharing"):
        monkeypatch.setattr(f"lgs_runtime.{module}.TIMEOUT_SECONDS", 60.0)


async def computed(cache: CacheManager, place: Place, value: Any) -> Any:
    """What a caller gets, who computes `value` if there is none."""
    found = await cache.enter(place, LIFE, frozenset())
    if isinstance(found, Flight):
        await cache.land(place, found, value, LIFE)
    return found.value if isinstance(found, Found) else value


@asynccontextmanager
async def put(server: RedisServer, key: str, command: str, *values: str) -> AsyncIterator[Redis]:
    """Somebody else has put something at a key."""
    async with Redis.from_url(server.uri) as client:
        await client.delete(key)
        await client.execute_command(command, key, *values)
        yield client


@pytest.mark.parametrize("other", OTHER_TYPES, ids=lambda other: other[0])
async def test_what_is_no_entry_is_a_miss_and_a_count_of_its_function_and_is_written_over(
    new_cache: NewCache, server: RedisServer, other: tuple[str, ...]
) -> None:
    here, there = new_cache(server.uri), new_cache(server.uri)
    taken, free = here.place("function", "taken"), here.place("other function", "free")
    await here.write([(free, "free", LIFE)])

    async with put(server, taken.key, *other):
        with capture_logs() as logs:
            assert await computed(there, taken, "ours") == "ours"
            assert await there.read([free, taken]) == {free: Found("free"), taken: Found("ours")}

    assert await computed(new_cache(server.uri), taken, "another") == "ours"
    assert there.redis == "up"
    assert {name: row.errors for name, row in there.statistics.rows() if row.errors} == {"function": 1}
    assert not GONE & {log["event"] for log in logs}


async def test_a_result_that_lost_its_end_as_keys_were_copied_is_computed_anew(
    new_cache: NewCache, server: RedisServer
) -> None:
    here, there = new_cache(server.uri), new_cache(server.uri)
    node, function = here.place("graph/node", "key"), here.place("function", "key")
    await here.write([(node, "old", LIFE), (function, "old", LIFE)])
    async with Redis.from_url(server.uri) as client:
        for place in (node, function):
            assert await client.persist(place.key)

        assert await there.read([node]) == {}
        await there.write([(node, "new", LIFE)])
        assert await computed(there, function, "new") == "new"

        assert all([await client.pttl(place.key) > 0 for place in (node, function)])
    assert (there.redis, there.statistics.total().errors) == ("up", 2)


async def test_of_many_that_are_looked_up_together_one_is_no_entry_and_the_others_are_found(
    new_cache: NewCache, server: RedisServer
) -> None:
    here, there = new_cache(server.uri), new_cache(server.uri)
    places = [here.place("function", str(number)) for number in range(10)]
    await here.write([(place, number, LIFE) for number, place in enumerate(places)])

    async with put(server, places[4].key, "RPUSH", "x"):
        found = await there.read(places)

    assert [found[place].value for place in places if place in found] == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert (there.redis, there.statistics.of("function").errors) == ("up", 1)


@pytest.mark.parametrize("other", [*OTHER_TYPES, ("SET", "x"), ("SET", "x", "EX", "86400")], ids=str)
async def test_what_is_no_lease_keeps_nobody_waiting(
    new_cache: NewCache, server: RedisServer, other: tuple[str, ...]
) -> None:
    here, there = new_cache(server.uri), new_cache(server.uri)
    place = here.place("function", "key")

    async with put(server, f"{place.key}:lease", *other):
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await computed(here, place, "ours") == "ours"
        assert await computed(there, place, "another") == "ours"

    counts = here.statistics.total()
    assert (here.redis, counts.waits, counts.errors) == ("up", 0, 0)


@pytest.mark.parametrize("how", ["release", "renew", "write", "lease anew"])
async def test_a_lease_that_somebody_else_wrote_over_is_lost_and_nothing_else(
    new_cache: NewCache, server: RedisServer, how: str
) -> None:
    cache = new_cache(server.uri)
    place = cache.place("function", "key")
    flight = await cache.enter(place, LIFE, frozenset())
    assert isinstance(flight, Flight)
    leases = [(place.key, flight.token)]

    async with put(server, f"{place.key}:lease", "RPUSH", "x"):
        if how == "release":
            await cache._ask(lambda shared: shared.release(place.key, flight.token))
        elif how == "renew":
            await cache._ask(lambda shared: shared.renew(leases, 10.0))
        elif how == "write":
            await cache.land(place, flight, "ours", LIFE)
        else:
            assert await cache._ask(lambda shared: shared.lease(place.key, "token", 10.0))

    assert (cache.redis, cache.statistics.total().errors) == ("up", 0)


@pytest.mark.parametrize("which", ["counts}", "counts}:halved"])
@pytest.mark.parametrize("other", [("RPUSH", "x"), ("SET", "nan"), ("SET", "99999999999"), ("SET", "-1e300")])
async def test_counts_that_somebody_else_wrote_over_begin_anew(
    new_cache: NewCache, server: RedisServer, which: str, other: tuple[str, ...]
) -> None:
    cache = new_cache(server.uri)
    await cache.rates({"key": 10})
    async with Redis.from_url(server.uri) as client:
        (key,) = [key.decode() async for key in client.scan_iter(f"*{which}")]

    async with put(server, key, *other):
        assert (await cache.rates({"key": 10}))["key"] > 0

    assert (cache.redis, cache.statistics.total().errors) == ("up", 0)


EVENTS = [StreamEvent(f"1000-{number}", name, b"{}") for number, name in enumerate(("metadata", "end"), 1)]


async def told(broker: RedisBroker, run: str, after: str = FROM_START) -> list[str]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [event.id async for together in broker.subscribe(run, after) for event in together]


@asynccontextmanager
async def brokers(server: RedisServer, number: int) -> AsyncIterator[list[RedisBroker]]:
    async with AsyncExitStack() as stack:
        made = [RedisBroker.connect(server.uri, "refused") for _ in range(number)]
        for each in made:
            stack.push_async_callback(each.close)
        yield made


@pytest.mark.parametrize("other", [("RPUSH", "x"), ("HSET", "field", "x"), ("SET", "x")], ids=str)
async def test_what_is_no_stream_makes_room_and_leaves_the_runs_beside_it(
    server: RedisServer, other: tuple[str, ...]
) -> None:
    async with brokers(server, 2) as (here, there), put(server, "lgs:refused:stream:b", *other):
        await asyncio.gather(*(here.publish(run, EVENTS) for run in "abc"))

        assert [await told(there, run) for run in "abc"] == [["1000-1", "1000-2"]] * 3
        assert not here.away
        assert not there.away


async def test_who_asks_for_what_is_no_stream_waits_for_that_run_alone(server: RedisServer) -> None:
    async with brokers(server, 2) as (here, there), put(server, "lgs:refused:stream:b", "RPUSH", "x"):
        with capture_logs() as logs:
            waiting = asyncio.create_task(told(there, "b"))
            await here.publish("a", EVENTS)
            assert await told(there, "a", "1000-1") == ["1000-2"]
        assert not there.away
        assert [log["event"] for log in logs].count("streams.redis_refused") == 1

        await here.publish("b", EVENTS)
        assert await waiting == ["1000-1", "1000-2"]


async def test_what_somebody_else_added_to_a_stream_is_no_event(server: RedisServer) -> None:
    async with (
        brokers(server, 2) as (here, there),
        put(server, "lgs:refused:stream:a", "XADD", "1-1", "field", "x") as client,
    ):
        await here.publish("a", EVENTS)
        await client.execute_command("XADD", "lgs:refused:stream:a", "*", "e", b"\xff")

        assert await told(there, "a") == ["1000-1", "1000-2"]


@pytest.mark.parametrize("answer", GARBLED, ids=repr)
async def test_the_streams_of_a_replica_do_without_what_is_no_redis(answer: bytes) -> None:
    async with answering(answer) as uri, AsyncExitStack() as stack:
        broker = RedisBroker.connect(uri, "refused")
        stack.push_async_callback(broker.close)

        for run in "ab":
            await broker.publish(run, EVENTS)
            assert await told(broker, run) == ["1000-1", "1000-2"]
            await broker.discard(run)


def broken_circuit(name: str) -> Circuit:
    return Circuit(name, POLICY, kind="graph")


@pytest.mark.parametrize("field", ["generation", "phase", "until", "calls", "c", "f", "s"])
async def test_a_circuit_in_which_somebody_wrote_words_is_shared_and_so_are_those_beside_it(
    server: RedisServer, field: str
) -> None:
    here, there = ([broken_circuit(name) for name in "abc"] for _ in range(2))
    shares = [RedisSharing.connect(server.uri, "refused", lambda mine=mine: mine) for mine in (here, there)]
    async with AsyncExitStack() as stack, Redis.from_url(server.uri) as client:
        for share in shares:
            stack.push_async_callback(share.close)
            await share.exchange()
        width = int(POLICY.window_seconds * 1000 / BUCKETS)
        bucket = (await client.time())[0] * 1000 // width
        named = [field] if field not in "cfs" else [f"{field}{width}_{bucket + ahead}" for ahead in range(20)]
        await client.hset("lgs:{refused}:circuit:graph:b", mapping=dict.fromkeys(named, "words"))

        here[1].report(here[1].acquire(), Result.FAILURE)
        await shares[0].exchange()
        assert not shares[0].away
        for circuit in here:
            while circuit.phase is Phase.CLOSED:
                circuit.report(circuit.acquire(), Result.FAILURE)
        for _ in range(3):
            for share in shares:
                await share.exchange()

        assert [each.phase for each in there] == [Phase.OPEN] * 3
        assert not any(share.away for share in shares)


async def test_a_user_of_redis_that_may_touch_the_keys_of_the_service_alone_has_all_of_the_cache(
    new_cache: NewCache, server: RedisServer
) -> None:
    uri = server.uri.replace("redis://", "redis://narrow:secret@")
    async with Redis.from_url(server.uri) as client:
        await client.execute_command("ACL SETUSER narrow on >secret ~lgs:* &lgs:* +@all")
    here, there = new_cache(uri), new_cache(uri)
    place = here.place("function", "key")
    await listening(here, there)

    assert await computed(here, place, "ours") == "ours"
    assert await computed(there, place, "another") == "ours"
    assert await here.rates({"key": 10})
    assert await there.forget(place)

    await until(lambda: here.peek(place) is None)
    assert (here.statistics.total().errors, there.statistics.total().errors) == (0, 0)


async def test_a_user_of_redis_that_may_not_listen_shares_and_keeps_little_in_memory(
    new_cache: NewCache, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_runtime.cache.replicas.CHECK_SECONDS", 0.05)
    uri = server.uri.replace("redis://", "redis://deaf:secret@")
    async with Redis.from_url(server.uri) as client:
        await client.execute_command("ACL SETUSER deaf on >secret ~* resetchannels +@all")
    here, there = new_cache(uri), new_cache(uri)
    place = here.place("function", "key")

    with capture_logs() as logs:
        assert await computed(here, place, "ours") == "ours"
        assert await computed(there, place, "another") == "ours"
        await here.forget(place)
        await until(lambda: there.peek(place) is None)

    assert await computed(there, place, "another") == "another"
    assert (here.redis, there.redis) == ("up", "up")
    assert [log["event"] for log in logs].count("cache.redis_refused") == 2
    assert not GONE & {log["event"] for log in logs}


class Says:
    """Makes a server say that it is not of use just now, and of use again."""

    def __init__(self, server: RedisServer, client: Redis) -> None:
        self._server = server
        self._client = client
        self._busy: asyncio.Task[Any] | None = None

    async def settings(self, **values: str) -> None:
        for name, value in values.items():
            await self._client.config_set(name.replace("_", "-"), value)

    async def oom(self) -> Callable[[], Any]:
        await self.settings(maxmemory="1")
        return lambda: self.settings(maxmemory="0")

    async def noreplicas(self) -> Callable[[], Any]:
        await self.settings(min_replicas_to_write="1")
        return lambda: self.settings(min_replicas_to_write="0")

    async def readonly(self) -> Callable[[], Any]:
        await self._client.execute_command("REPLICAOF 127.0.0.1 1")
        return lambda: self._client.execute_command("REPLICAOF NO ONE")

    async def masterdown(self) -> Callable[[], Any]:
        await self.settings(replica_serve_stale_data="no")
        return await self.readonly()

    async def noauth(self) -> Callable[[], Any]:
        await self.settings(requirepass="secret")
        await self._client.execute_command("AUTH secret")
        await self._client.execute_command("CLIENT KILL TYPE normal SKIPME yes")
        await self._client.execute_command("CLIENT KILL TYPE pubsub")
        return lambda: self.settings(requirepass="")

    async def misconf(self) -> Callable[[], Any]:
        folder = self._server.folder / "gone"
        folder.mkdir()
        await self.settings(dir=str(folder), save="3600 1")
        folder.rmdir()
        await self._client.bgsave()

        async def failed() -> bool:
            return bool((await self._client.info("persistence"))["rdb_last_bgsave_status"] == "err")

        await until(failed)
        return lambda: self.settings(dir=str(self._server.folder), save="")

    async def busy(self) -> Callable[[], Any]:
        await self.settings(busy_reply_threshold="1")
        other = Redis.from_url(self._server.uri)
        self._busy = asyncio.create_task(other.eval("while true do end", 0))  # type: ignore[arg-type]

        async def is_busy() -> bool:
            with suppress(ResponseError):
                return not await self._client.ping()
            return True

        async def killed() -> None:
            await self._client.script_kill()
            assert self._busy is not None
            with suppress(RedisError):
                await self._busy
            await other.aclose()
            await self.settings(busy_reply_threshold="5000")

        await until(is_busy)
        return killed

    async def loading(self) -> Callable[[], Any]:
        # Uncompressed, so that it answers between two keys, and for longer than the test takes.
        await self.settings(rdbcompression="no", key_load_delay="40000")
        await self.settings(loading_process_events_interval_bytes="1024")
        async with self._client.pipeline() as pipe:
            for number in range(10_000):
                pipe.set(f"filler {number}", "x" * 1024)
            await pipe.execute()
        other = Redis.from_url(self._server.uri)
        self._busy = asyncio.create_task(other.execute_command("DEBUG RELOAD"))

        async def is_loading() -> bool:
            return bool((await self._client.info("persistence"))["loading"])

        async def loaded() -> None:
            self._server.stop()
            assert self._busy is not None
            with suppress(RedisError):
                await self._busy
            await other.aclose()
            self._server.start()

        await until(is_loading)
        return loaded


@pytest.mark.parametrize(
    "what", ["oom", "noreplicas", "readonly", "masterdown", "noauth", "misconf", "busy", "loading"]
)
async def test_a_redis_that_is_of_no_use_just_now_is_away_until_it_takes_what_is_written(
    new_cache: NewCache, server: RedisServer, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr("lgs_runtime.cache.replicas.CHECK_SECONDS", 0.02)
    monkeypatch.setattr("lgs_runtime.streams.reachability.AWAY_SECONDS", 0.02)
    cache, circuit = new_cache(server.uri), broken_circuit("graph")
    place = cache.place("function", "key")
    looks = []

    async def used(broker: RedisBroker, share: RedisSharing) -> None:
        await computed(cache, place, "value")
        await cache.write([(place, "value", LIFE)])
        await broker.publish("run", EVENTS[:1])
        circuit.report(circuit.acquire(), Result.SUCCESS)
        await share.exchange()

    def looked(shared: Any) -> None:
        ping = shared.ping

        async def counted() -> None:
            try:
                await ping()
            finally:
                looks.append(1)

        shared.ping = counted

    assert cache._replicas is not None
    looked(cache._replicas._shared)
    share = RedisSharing.connect(server.uri, "refused", lambda: [circuit])
    async with (
        brokers(server, 1) as (broker,),
        Redis.from_url(server.uri) as client,
        AsyncExitStack() as stack,
    ):
        stack.push_async_callback(share.close)
        await listening(cache)
        await used(broker, share)
        assert (cache.redis, broker.away, share.away) == ("up", False, False)

        with capture_logs() as logs:
            undone = await getattr(Says(server, client), what)()
            try:
                await used(broker, share)
                assert (cache.redis, broker.away, share.away) == ("away", True, True)
                await until(lambda: len(looks) >= 5)
                await used(broker, share)
                assert sorted(log["event"] for log in logs if log["event"] in GONE | BACK) == sorted(GONE)
            finally:
                await undone()

            async def back() -> bool:
                await share.exchange()
                return (cache.redis, broker.away, share.away) == ("up", False, False)

            await until(back)
        await cache.write([(place, "after", LIFE)])
        cache.memory.clear()
        assert (await cache.read([place]))[place].value == "after"


async def test_a_node_of_a_cluster_without_slots_is_an_outage_for_who_takes_it_for_one_server(
    new_cache: NewCache,
) -> None:
    # The bus has a port of its own: the one that Redis takes by itself may be above the highest that exists.
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with running(RedisNode(*options)) as node:
        cache = new_cache(node.uri)
        await cache.write([(cache.place("function", "key"), "value", LIFE)])

        assert cache.redis == "away"
        await cache.close()


@pytest.mark.parametrize(
    ("failed", "refused"),
    [
        (ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"), True),
        (ResponseError("value is not an integer or out of range"), True),
        (ResponseError("Error running script (call to f_1): @user_script:2: WRONGTYPE Operation"), True),
        (DataError("Invalid input of type: 'NoneType'."), True),
        (ResponseError("MISCONF Redis is configured to save RDB snapshots"), False),
        (
            ResponseError("Error running script (call to f_1): @user_script:2: -READONLY You can't write"),
            False,
        ),
        (ResponseError("Error running script: @user_script: 1: -OOM command not allowed"), False),
        (OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), False),
        (RedisConnectionError("Connection closed by server."), False),
        (ResponseError("Protocol error: unauthenticated multibulk length"), False),
        (TimeoutError(), False),
    ],
    ids=repr,
)
def test_a_refusal_is_told_from_an_outage_by_whom_it_concerns(failed: Exception, refused: bool) -> None:
    assert is_refusal(failed) is refused
