"""Redis behind Sentinel and as a Cluster: the cache, the streams and the circuits work as with one server; a
failover, a slot that moves and a node that is gone cost misses, and no call."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import pytest
import redis
from redis.asyncio.cluster import ClusterNode
from redis.cluster import PRIMARY
from redis.crc import key_slot
from structlog.testing import capture_logs

from lgs_runtime.breaker.circuit import Circuit
from lgs_runtime.breaker.redis_sharing import RedisSharing
from lgs_runtime.breaker.state_machine import Phase, Result
from lgs_runtime.cache.found import Found, Life
from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.cache.place import Place
from lgs_runtime.cache.redis import TIMEOUT_SECONDS
from lgs_runtime.cache.shared import Change
from lgs_runtime.cache.single_flight import Flight
from lgs_runtime.redis_addresses import parse_redis
from lgs_runtime.redis_clients import GONE, close, connect
from lgs_runtime.streams.events import FROM_START, StreamEvent
from lgs_runtime.streams.redis import RedisBroker
from support.caches import listening
from support.circuits import POLICY, SharingReplica, exchange, phases
from support.ports import PATIENCE_SECONDS, free_port
from support.redis import RedisCluster, RedisNode, RedisSentinel, close_connections
from support.servers import running
from support.waiting import until

NewCache = Callable[..., CacheManager]
LIFE = Life(3600.0)


@pytest.fixture(autouse=True)
def _impatient(_patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes are gone here, and stand still: a lookup is given up as it is in production."""
    monkeypatch.setattr("lgs_runtime.cache.redis.TIMEOUT_SECONDS", TIMEOUT_SECONDS)


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    with running(RedisCluster()) as started:
        yield started


@pytest.fixture(scope="module")
def sentinel() -> Iterator[RedisSentinel]:
    with running(RedisSentinel()) as started:
        yield started


@pytest.fixture(params=["cluster", "sentinel"])
def uri(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param).uri
    return found


async def computed(cache: CacheManager, place: Place, value: Any) -> Any:
    """What a caller gets, who computes `value` if there is none."""
    found = await cache.enter(place, LIFE, frozenset())
    if isinstance(found, Flight):
        await cache.land(place, found, value, LIFE)
    return found.value if isinstance(found, Found) else value


async def test_replicas_share_what_they_compute_and_forget(new_cache: NewCache, uri: str) -> None:
    here, there = new_cache(uri, uri[:14]), new_cache(uri, uri[:14])
    places = [here.place("function", str(number)) for number in range(50)]

    wanted = (list(range(50)), True, 49, {})
    seen: list[Any] = []

    async def played() -> bool:
        """On a busy machine Redis may take longer to answer than anybody waits for it."""
        await here.write([(place, number, LIFE) for number, place in enumerate(places)])
        found = await there.read(places)
        values = [found[place].value for place in places if place in found]
        forgotten, cleared = await here.forget(places[0]), await here.clear("function")
        there.memory.clear()
        seen[:] = [(values, forgotten, cleared, await there.read(places))]
        return seen == [wanted]

    with suppress(TimeoutError):
        await until(played)
    assert seen == [wanted]


async def test_the_memory_of_the_other_replica_forgets(new_cache: NewCache, uri: str) -> None:
    here, there = new_cache(uri, "heard"), new_cache(uri, "heard")
    place = here.place("function", "key")
    for each in (here, there):
        await each.read([place])

    async def heard() -> bool:
        return bool(here.changes and there.changes)

    await until(heard)
    await here.write([(place, "old", LIFE)])
    await there.write([(place, "old", LIFE)])
    await here.forget(place)

    async def forgotten() -> bool:
        return there.memory.get(place.key) is None

    await until(forgotten)


async def test_replicas_tell_each_other_how_often_keys_are_asked_for(new_cache: NewCache, uri: str) -> None:
    here, there = new_cache(uri, "counts"), new_cache(uri, "counts")
    heard: dict[str, float] = {}
    rates: dict[str, float] = {}

    async def counted() -> bool:
        heard.update(await here.rates({"both": 90, "here": 90}))
        return bool(heard)

    async def counted_there() -> bool:
        rates.update(await there.rates({"both": 90, "there": 9}))
        return bool(rates)

    await until(counted)
    await until(counted_there)

    assert rates.keys() == {"both", "there"}
    assert rates["both"] > 3 * rates["there"] > 0


@pytest.mark.parametrize("kind", ["cluster", "sentinel"])
async def test_connections_that_the_servers_close_are_no_outage(
    new_cache: NewCache, kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_runtime.cache.redis.TIMEOUT_SECONDS", 60.0)
    several: RedisCluster | RedisSentinel = request.getfixturevalue(kind)
    servers = several.nodes[:3] if isinstance(several, RedisCluster) else [several.sentinel, several.master]
    cache = new_cache(several.uri, "closed")
    await listening(cache)
    assert cache._replicas is not None
    await cache._replicas._shared.ping()
    places = [cache.place("function", str(number)) for number in range(60)]
    await cache.write([(place, place.key, LIFE) for place in places])

    async def found_there() -> int:
        cache.memory.clear()
        return sum(len(found) for found in await asyncio.gather(*(cache.read([place]) for place in places)))

    assert await found_there() == len(places)
    changes = cache.changes
    with capture_logs() as logs:
        assert sum([await close_connections(server) for server in servers]) > 2, "the premise"

        assert [await found_there() for _ in range(3)] == [len(places)] * 3
        await cache._replicas._shared.ping()
        await cache._replicas._shared.announce(Change(key="key"))

    assert [log["event"] for log in logs if log["event"].startswith("cache.")] == []
    assert (cache.redis, cache.changes, cache.statistics.of("(redis)").errors) == ("up", changes, 0)


async def test_a_run_is_followed_from_another_replica(uri: str) -> None:
    here, there = RedisBroker.connect(uri, "streams"), RedisBroker.connect(uri, "streams")
    events = [
        StreamEvent("1-1", "values", b"1"),
        StreamEvent("1-2", "values", b"2"),
        StreamEvent("1-3", "end", b""),
    ]

    async def read(run: str) -> list[bytes]:
        return [
            event.data
            async for page in there.subscribe(run, FROM_START)
            for event in page
            if not event.is_end
        ]

    try:
        reading = [asyncio.create_task(read(f"run {number}")) for number in range(10)]
        for number in range(10):
            for event in events:
                await here.publish(f"run {number}", [event])
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await asyncio.gather(*reading) == [[b"1", b"2"]] * 10
    finally:
        for each in (here, there):
            await each.close()


async def test_a_circuit_that_opens_in_one_replica_opens_in_the_other_and_leaves_those_beside(
    uri: str,
) -> None:
    here, there = ([Circuit(f"graph {n}", POLICY, kind="graph") for n in range(20)] for _ in range(2))
    shares = [RedisSharing.connect(uri, "circuits", lambda mine=mine: mine) for mine in (here, there)]
    for _ in range(POLICY.minimum_calls):
        here[7].report(here[7].acquire(), Result.FAILURE)

    async def agreed() -> bool:
        for share in shares:
            await share.exchange()
        return there[7].phase is Phase.OPEN

    try:
        await until(agreed)
    finally:
        for share in shares:
            await share.close()

    assert [each.phase for each in there] == [Phase.OPEN if n == 7 else Phase.CLOSED for n in range(20)]


async def test_a_slot_that_moves_in_the_middle_costs_nothing(
    cluster: RedisCluster, new_cache: NewCache
) -> None:
    cache = new_cache(cluster.uri, "moving")
    source, target = (redis.Redis(port=cluster.nodes[number].port) for number in (1, 2))
    # Away from the borders between the masters, and without a key of another test, which would have to move.
    place, slot = next(
        (place, slot)
        for number in range(1000)
        if 6000 < (slot := key_slot((place := cache.place("f", str(number))).key.encode())) < 10000
        and not source.execute_command("CLUSTER COUNTKEYSINSLOT", slot)
    )
    await cache.read([place])

    async def heard() -> bool:
        return cache.changes > 0

    await until(heard)
    ids = [client.execute_command("CLUSTER MYID").decode() for client in (source, target)]

    target.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[0])
    source.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[1])

    async def taken() -> bool:
        """A script with a key that is not there yet must wait until the slot has moved; what is written is
        taken, by who gets the slot."""
        await cache.write([(place, "by ASK", LIFE)])
        return bool(target.execute_command("CLUSTER COUNTKEYSINSLOT", slot))

    await until(taken)
    for client in (target, source):
        client.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[1])
        client.close()
    fresh = new_cache(cluster.uri, "moving")
    found: list[Found] = []

    async def moved() -> bool:
        """On a busy machine a lookup may be given up."""
        cache.memory.clear()
        found[:] = [each for one in (cache, fresh) for each in (await one.read([place])).values()]
        return len(found) == 2

    await until(moved)
    assert [each.value for each in found] == ["by ASK"] * 2


class Load:
    """Calls of four callers, one after the other each, for as long as the context is open."""

    def __init__(self, cache: CacheManager) -> None:
        self._cache = cache
        self.calls = 0
        self.wrong: list[Any] = []
        self._over = False

    async def __aenter__(self) -> Load:
        self._callers = [asyncio.create_task(self._call(number)) for number in range(4)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over = True
        raised = await asyncio.gather(*self._callers, return_exceptions=True)
        self.wrong += [each for each in raised if each is not None]

    async def more(self, calls: int) -> None:
        """Until so many more calls are over."""
        enough = self.calls + calls
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.calls < enough:
                await asyncio.sleep(0.01)

    async def _call(self, caller: int) -> None:
        while not self._over:
            number = (self.calls * 7 + caller) % 200
            found = await computed(self._cache, self._cache.place("loaded", str(number)), number)
            self.wrong += [] if found == number else [(number, found)]
            self.calls += 1
            if self.calls % 50 == 0:
                self._cache.memory.clear()
            await asyncio.sleep(0)


async def test_while_a_node_without_a_replica_is_gone_calls_go_on(
    cluster: RedisCluster, new_cache: NewCache
) -> None:
    cache = new_cache(cluster.uri, "gone")
    async with Load(cache) as load:
        await load.more(200)
        cluster.nodes[2].stop()
        await load.more(300)
        errors = cache.statistics.of("(redis)").errors
        cluster.nodes[2].start()

    assert load.wrong == []
    assert errors > 0


async def test_while_a_node_stands_still_calls_go_on(cluster: RedisCluster, new_cache: NewCache) -> None:
    cache = new_cache(cluster.uri, "still")
    async with Load(cache) as load:
        await load.more(200)
        os.kill(cluster.nodes[2].pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not cache.statistics.of("(redis)").errors:
                    await load.more(50)
            await load.more(300)
        finally:
            os.kill(cluster.nodes[2].pid, signal.SIGCONT)

    assert load.wrong == []


@contextmanager
def of_no_use(cluster: RedisCluster, how: str) -> Iterator[None]:
    """The third node, of which there is no replica, is gone, stands still or is full; the others serve their
    slots all the same."""
    node = cluster.nodes[2]
    clients = [redis.Redis(port=each.port) for each in cluster.nodes]
    for each in clients:
        each.config_set("cluster-require-full-coverage", "no")
    if how == "gone":
        node.stop()
    elif how == "still":
        os.kill(node.pid, signal.SIGSTOP)
    else:
        clients[2].config_set("maxmemory", "1")
    try:
        yield
    finally:
        if how == "gone":
            node.start()
        elif how == "still":
            os.kill(node.pid, signal.SIGCONT)
        for each in clients:
            each.config_set("maxmemory", "0")
            each.config_set("cluster-require-full-coverage", "yes")
            each.close()


@pytest.mark.parametrize("how", ["full", "still", "gone"])
async def test_a_node_that_is_of_no_use_takes_its_own_keys_away_and_no_others_and_is_used_when_it_is_back(
    cluster: RedisCluster, new_cache: NewCache, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr("lgs_runtime.cache.redis_cluster.CHECK_SECONDS", 0.05)
    cache = new_cache(cluster.uri, f"of no use: {how}")
    places = [cache.place("function", f"key {number}") for number in range(40)]
    slots = {place: key_slot(place.key.encode()) for place in places}
    others = [place for place in places if slots[place] < 10_000]
    its_own = [place for place in places if slots[place] > 11_000]

    async def shared(*wanted: Place) -> bool:
        """On a busy machine a lookup of a node that is well may be given up, too."""
        await cache.write([(place, "value", LIFE) for place in wanted])
        cache.memory.clear()
        return (await cache.read(wanted)).keys() == set(wanted)

    async def some_are(in_the_midst: Place) -> bool:
        """Among those of the node that is of no use."""
        found = [await shared(in_the_midst), *[await shared(place) for place in others]]
        return found == [False] + [True] * len(others)

    await until(lambda: shared(*places))
    with of_no_use(cluster, how):
        for place in its_own[:3]:
            await until(lambda place=place: some_are(place))
        assert cache.statistics.of("(redis)").errors > 0
        assert how == "full" or not (await cache.clear_told("function")).everywhere

    await until(lambda: shared(*places))


async def test_the_node_that_has_failed_for_the_longest_time_is_asked_last_where_the_nodes_are(
    cluster: RedisCluster,
) -> None:
    """It may stand still: who asks one of the others would wait for it, and take that one for failed, and so
    on for as long as it stands."""
    client = connect(cluster.uri, most_connections=1, timeout_seconds=60.0)
    keys = [f"{number}" for number in range(100)]
    await asyncio.gather(*(client.set(key, "1") for key in keys))
    one_of_each = {client.get_node_from_key(key).name: key for key in keys}
    still, *others = one_of_each

    def asked_last() -> str:
        return list(client.nodes_manager.startup_nodes)[-1]

    client.find_anew(still)
    for other in (*others, *others):
        client.find_anew(other)
        assert asked_last() == still
        assert await client.get(one_of_each[other]) == b"1"
    assert await client.get(one_of_each[still]) == b"1"
    client.find_anew(others[0])

    assert asked_last() == others[0], "the one before has answered"
    await close(client)


async def test_a_node_that_has_failed_is_not_asked_where_the_nodes_are_while_others_answer(
    cluster: RedisCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver asks all that it knows, in random order."""
    client = connect(cluster.uri, most_connections=1, timeout_seconds=60.0)
    keys = [f"{number}" for number in range(100)]
    await asyncio.gather(*(client.set(key, "1") for key in keys))
    one_of_each = {client.get_node_from_key(key).name: key for key in keys}
    failed, *others = one_of_each
    asked: list[str] = []
    execute = ClusterNode.execute_command

    async def noted(node: ClusterNode, *args: Any, **kwargs: Any) -> Any:
        if args == ("CLUSTER SLOTS",):
            asked.append(node.name)
        return await execute(node, *args, **kwargs)

    monkeypatch.setattr(ClusterNode, "execute_command", noted)
    for _ in range(30):
        client.find_anew(failed)
        assert await client.get(one_of_each[others[0]]) == b"1"

    assert len(asked) == 30
    assert failed not in asked
    await close(client)


@pytest.mark.parametrize("how", ["still", "gone"])
async def test_a_client_that_starts_while_a_master_is_of_no_use_finds_what_the_others_have(
    cluster: RedisCluster, how: str
) -> None:
    """The driver asks the first master for its commands, and asks no other when that one does not answer."""
    keys = [f"{number}" for number in range(100)]
    before = connect(cluster.uri, most_connections=1, timeout_seconds=60.0)
    await asyncio.gather(*(before.set(key, "1") for key in keys))
    gone = f"127.0.0.1:{cluster.nodes[2].port}"
    key = next(key for key in keys if before.get_node_from_key(key).name != gone)
    await close(before)
    client = connect(cluster.uri, most_connections=1, timeout_seconds=1.0)
    # The first master is that of the first slots, unless the client knows another one already.
    nodes = client.nodes_manager
    port = cluster.nodes[2].port
    nodes.nodes_cache[gone] = ClusterNode("127.0.0.1", port, PRIMARY, **nodes.connection_kwargs)

    async def found() -> bool:
        with suppress(*GONE):
            return bool(await client.get(key) == b"1")
        return False

    with of_no_use(cluster, how):
        await until(found)
    await close(client)


async def test_a_client_that_finds_nodes_without_slots_finds_the_slots_that_they_get_later() -> None:
    """As when a cluster is made after whoever uses it has started."""
    with running(RedisNode("--cluster-enabled", "yes", "--cluster-port", str(free_port()))) as node:
        client = connect(f"redis+cluster://127.0.0.1:{node.port}", most_connections=1, timeout_seconds=60.0)
        with pytest.raises(GONE):
            await client.get("key")
        with redis.Redis(port=node.port) as made:
            made.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)

        async def found() -> bool:
            with suppress(*GONE):
                return bool(await client.set("key", "1"))
            return False

        await until(found)
        await close(client)


@pytest.mark.parametrize("kind", ["cluster", "sentinel"])
async def test_a_failover_in_the_middle_of_a_load_costs_misses_and_no_call_and_closes_no_circuit(
    request: pytest.FixtureRequest, new_cache: NewCache, kind: str
) -> None:
    servers: Any = request.getfixturevalue(kind)
    cache, other = new_cache(servers.uri, "failover"), new_cache(servers.uri, "failover")
    master = servers.nodes[0] if kind == "cluster" else servers.master
    place = next(
        place
        for number in range(1000)
        if key_slot((place := cache.place("after", str(number))).key.encode()) < 5000
    )
    service = next(name for name in map(str, range(1000)) if key_slot(name.encode()) < 5000)
    sharing = [SharingReplica(servers.uri, started_at, service=service) for started_at in (0.0, 5000.0)]

    async def all_open() -> bool:
        await exchange(*sharing)
        return phases(*sharing) == {Phase.OPEN}

    async with Load(cache) as load:
        await load.more(200)
        sharing[0].call(Result.FAILURE, POLICY.minimum_calls)
        await until(all_open)
        master.stop()
        servers.miss_first()

        async def serves_again() -> bool:
            """Another server has taken over what was the master's."""
            await cache.write([(place, "after", LIFE)])
            other.memory.clear()
            return place in await other.read([place])

        await until(serves_again)
        await load.more(100)
    late = SharingReplica(servers.uri, 77.0, service=service)
    await until(lambda: told(late))
    await until(lambda: is_up(cache))
    for each in (*sharing, late):
        await each.sharing.close()

    assert load.wrong == []
    assert phases(*sharing, late) == {Phase.OPEN}


async def test_changes_are_received_from_the_server_that_has_taken_the_place_of_one_that_stands_still(
    new_cache: NewCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A master that stands still closes no connection: whoever listens there hears nothing."""
    monkeypatch.setattr("lgs_runtime.cache.redis.HEALTH_SECONDS", 3600.0)
    with running(RedisSentinel()) as servers:
        here, there = new_cache(servers.uri, "stands still"), new_cache(servers.uri, "stands still")
        place, probe = (here.place("function", name) for name in ("key", "probe"))
        await listening(here, there)
        os.kill(servers.master.pid, signal.SIGSTOP)
        servers.miss_first()

        async def both_use_the_other_one() -> bool:
            await here.write([(probe, "value", LIFE)])
            there.memory.clear()
            return probe in await there.read([probe]) and (here.redis, there.redis) == ("up", "up")

        try:
            # Which may be back at the other server by now.
            while not all(each.statistics.of("(redis)").errors for each in (here, there)):
                await here.write([(probe, "value", LIFE)])
                await there.read([here.place("function", "any")])
            await until(both_use_the_other_one)
            await here.write([(place, "old", LIFE)])
            await there.forget(place)

            await until(lambda: here.memory.get(place.key) is None)
        finally:
            os.kill(servers.master.pid, signal.SIGCONT)


async def test_what_a_node_had_that_stands_still_is_served_by_the_one_in_its_place(
    new_cache: NewCache,
) -> None:
    """It closes no connection, and nobody waits for it for as long as the driver would."""
    with running(RedisCluster()) as servers:
        cache = new_cache(servers.uri, "stands still")
        place = next(
            place
            for number in range(1000)
            if key_slot((place := cache.place("function", str(number))).key.encode()) < 5000
        )
        service = next(name for name in map(str, range(1000)) if key_slot(name.encode()) < 5000)
        broker = RedisBroker.connect(servers.uri, service)
        numbers = count(1)

        async def served() -> bool:
            await broker.publish("run", [StreamEvent(f"1-{next(numbers)}", "values", b"1")])
            await cache.write([(place, "value", LIFE)])
            cache.memory.clear()
            return place in await cache.read([place]) and not broker.away

        await until(served)
        os.kill(servers.nodes[0].pid, signal.SIGSTOP)
        servers.miss_first()
        try:
            while await served():
                pass
            await until(served)
        finally:
            os.kill(servers.nodes[0].pid, signal.SIGCONT)
            await broker.close()


async def is_up(cache: CacheManager) -> bool:
    """Whether Redis is used; on a busy machine it may be away for a moment."""
    return cache.redis == "up"


async def told(replica: SharingReplica) -> bool:
    """Whether a new replica has received what is agreed."""
    await replica.sharing.exchange()
    return not replica.sharing.away


@pytest.mark.parametrize(
    ("uri", "nodes", "more"),
    [
        ("redis+cluster://a:1,b,[::1]:3", (("a", 1), ("b", 6379), ("::1", 3)), {}),
        ("rediss+cluster://user:p%40ss@a:1/0", (("a", 1),), {"tls": True, "password": "p@ss"}),
        ("redis+sentinel://a,b:2/main", (("a", 26379), ("b", 2)), {"master": "main", "database": 0}),
        ("redis+sentinel://:secret@a/main/3", (("a", 26379),), {"database": 3, "password": "secret"}),
        ("redis://a:1/0", (), {"is_cluster": False, "is_sentinel": False}),
    ],
)
def test_an_address_says_where_the_nodes_are(uri: str, nodes: Any, more: dict[str, Any]) -> None:
    address = parse_redis(uri)

    assert address.nodes == nodes
    assert {name: getattr(address, name) for name in more} == more


@pytest.mark.parametrize(
    ("uri", "rule"),
    [
        ("http://a", "must start with redis://"),
        ("redis+sentinel://a:1", "must name the master"),
        ("redis+sentinel://a:1/main/x", "number of a database"),
        ("redis+cluster://a:1/3", "a Redis Cluster has one"),
        ("redis+cluster://", "host:port between commas"),
        ("redis+cluster://a:1,,b:2", "host:port between commas"),
        ("redis+cluster://a:70000", "host:port between commas"),
        ("redis+cluster://a:x", "host:port between commas"),
    ],
)
def test_an_address_that_is_none_is_told_by_its_rule(uri: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        parse_redis(uri)
