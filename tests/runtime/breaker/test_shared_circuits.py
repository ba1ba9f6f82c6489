"""A circuit that replicas have in common, over a real Redis; each replica has a clock of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from lgs_runtime.breaker.circuit import Circuit
from lgs_runtime.breaker.state_machine import Phase, Result
from lgs_runtime.periodic import running
from support.circuits import POLICY, SharingReplica, exchange, opened, phases
from support.ports import PATIENCE_SECONDS
from support.redis import RedisServer, close_connections
from support.redis_proxy import proxied


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis of the tests is there, though the machine may stand still."""
    monkeypatch.setattr("lgs_runtime.breaker.redis_sharing.TIMEOUT_SECONDS", PATIENCE_SECONDS)


@pytest.fixture
async def three(redis_uri: str) -> AsyncIterator[list[SharingReplica]]:
    async with AsyncExitStack() as stack:
        replicas = [SharingReplica(redis_uri, started_at) for started_at in (0.0, 5000.0, 1e6)]
        for replica in replicas:
            stack.push_async_callback(replica.sharing.close)
        await exchange(*replicas)
        yield replicas


async def test_calls_of_all_replicas_count_together(three: list[SharingReplica]) -> None:
    for replica in three:
        replica.call(Result.FAILURE, POLICY.minimum_calls // 3)
    assert phases(*three) == {Phase.CLOSED}

    await exchange(*three)

    assert phases(*three) == {Phase.OPEN}
    assert all(500 < replica.refused_for() <= 600 for replica in three)


async def test_calls_are_told_once(three: list[SharingReplica]) -> None:
    three[0].call(Result.FAILURE, POLICY.minimum_calls - 1)

    for _ in range(5):
        await exchange(*three)

    assert phases(*three) == {Phase.CLOSED}


@pytest.mark.parametrize("lost", [1, 2], ids=["asked again by the driver", "told again with what came since"])
async def test_calls_whose_answer_was_lost_count_once(redis_uri: str, lost: int) -> None:
    async with proxied(redis_uri) as proxy:
        replica, other = (SharingReplica(proxy.uri, at, service=f"lost {lost}") for at in (0.0, 5000.0))
        await replica.sharing.exchange()

        replica.call(Result.FAILURE)
        proxy.swallows = lost
        await replica.sharing.exchange()
        assert (proxy.swallows, replica.sharing.away) == (0, lost > 1), "the premise: so many were lost"
        replica.call(Result.SUCCESS, 2)
        await exchange(replica, other)

        counts = await totals(other)
        await replica.sharing.close()
        await other.sharing.close()
    assert counts == {"c": 3, "f": 1, "s": 0}


async def test_a_circuit_that_was_forgotten_and_made_anew_counts_from_its_beginning(
    three: list[SharingReplica],
) -> None:
    three[0].call(Result.FAILURE, 2)
    await exchange(*three)
    three[0].circuit = Circuit("agent", POLICY, kind="graph", clock=lambda: 0.0)
    three[0].call(Result.FAILURE)
    await exchange(*three)

    assert await totals(three[0]) == {"c": 3, "f": 3, "s": 0}


async def test_what_replicas_said_that_are_gone_does_not_stay_for_ever(three: list[SharingReplica]) -> None:
    three[0].call(Result.SUCCESS)
    await exchange(*three)
    redis, key = three[0].sharing._redis, three[0].key
    (known,) = [field for field in await redis.hkeys(key) if field.startswith(b"r")]
    await redis.hset(key, mapping={"rgone": "0 1 0 0 1000", "rnothing": "nothing"})

    await exchange(*three)

    assert [field for field in await redis.hkeys(key) if field.startswith(b"r")] == [known]


async def totals(replica: SharingReplica) -> dict[str, int]:
    """The calls of a circuit that are in Redis, of all replicas."""
    found = await replica.sharing._redis.hgetall(replica.key)
    return {
        kind: sum(int(value) for field, value in found.items() if field.startswith(f"{kind}60000_".encode()))
        for kind in "cfs"
    }


async def test_successes_elsewhere_keep_it_closed(three: list[SharingReplica]) -> None:
    three[1].call(Result.SUCCESS, 20)
    await exchange(*three)
    for _ in range(3):
        three[0].call(Result.FAILURE)
        three[2].call(Result.FAILURE)
        await exchange(*three)

    assert phases(*three) == {Phase.CLOSED}


async def test_what_opens_in_one_replica_is_open_in_all_for_as_long(three: list[SharingReplica]) -> None:
    await opened(*three)

    assert all(500 < replica.refused_for() <= 600 for replica in three)
    assert [replica.circuit.begun[Phase.OPEN] for replica in three] == [1, 1, 1]


async def test_a_replica_that_comes_finds_it_open(three: list[SharingReplica], redis_uri: str) -> None:
    await opened(*three)

    late = SharingReplica(redis_uri, 77.0)
    await late.sharing.exchange()
    await late.sharing.close()

    assert 500 < late.refused_for() <= 600


async def test_a_replica_that_comes_asks_again_where_its_first_question_was_lost(
    redis_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_runtime.breaker.redis_sharing.EVERY_SECONDS", 0.01)
    async with proxied(redis_uri) as proxy:
        first, second = (SharingReplica(proxy.uri, at, service="lost at the start") for at in (0.0, 70.0))
        await opened(first)
        proxy.swallows = 2
        with capture_logs() as logs:
            async with running(second.sharing.run(), "circuits"):
                await second.sharing.first_exchange()
                assert phases(second) == {Phase.OPEN}
        assert {"circuits.not_shared", "circuits.shared"} <= {line["event"] for line in logs}, "the premise"
        await second.sharing.close()
        await first.sharing.close()


async def test_the_first_that_is_sure_closes_it_for_all(three: list[SharingReplica]) -> None:
    await opened(*three)
    for replica in three:
        replica.now += 601
    three[1].call(Result.SUCCESS, POLICY.probes)
    still_out = three[2].circuit.acquire()

    await exchange(*three)
    three[2].circuit.report(still_out, Result.FAILURE)

    assert phases(*three) == {Phase.CLOSED}


async def test_probes_of_several_replicas_count_together(three: list[SharingReplica]) -> None:
    await opened(*three)
    for replica in three:
        replica.now += 601
    three[0].call(Result.SUCCESS)
    three[2].call(Result.SUCCESS)
    assert phases(*three) == {Phase.HALF_OPEN, Phase.OPEN}

    await exchange(*three)

    assert phases(*three) == {Phase.CLOSED}


async def test_a_probe_that_fails_anywhere_opens_it_again_for_all(three: list[SharingReplica]) -> None:
    await opened(*three)
    for replica in three:
        replica.now += 601
    three[1].call(Result.FAILURE)

    await exchange(*three)

    assert phases(*three) == {Phase.OPEN}
    assert all(500 < replica.refused_for() <= 600 for replica in three)


async def test_replicas_that_open_it_at_once_agree_on_one_opening(three: list[SharingReplica]) -> None:
    for replica in three:
        replica.call(Result.FAILURE, POLICY.minimum_calls)

    await exchange(*three)

    assert phases(*three) == {Phase.OPEN}
    assert [replica.circuit.begun[Phase.OPEN] for replica in three] == [1, 1, 1]


async def test_without_redis_each_replica_goes_by_what_it_sees_and_redis_is_told_again_when_it_is_back(
    redis_server: RedisServer,
) -> None:
    one, two = SharingReplica(redis_server.uri, 0.0), SharingReplica(redis_server.uri, 0.0)
    await exchange(one, two)
    redis_server.stop()

    one.call(Result.FAILURE, POLICY.minimum_calls)
    await exchange(one, two)
    assert (one.circuit.phase, two.circuit.phase) == (Phase.OPEN, Phase.CLOSED)
    two.call(Result.SUCCESS)

    redis_server.start()
    await exchange(one, two)
    await one.sharing.close()
    await two.sharing.close()

    assert phases(one, two) == {Phase.OPEN}


async def test_whatever_the_driver_raises_is_told_once_and_tried_again(
    three: list[SharingReplica], capsys: pytest.CaptureFixture[str]
) -> None:
    sharing, script = three[0].sharing, three[0].sharing._script

    async def lost(**_: object) -> None:
        raise IndexError("no node has this slot")

    sharing._script = lost  # type: ignore[assignment]
    for _ in range(2):
        await sharing.exchange()
    away, sharing._script = sharing.away, script
    await sharing.exchange()

    assert (away, sharing.away) == (True, False)
    assert capsys.readouterr().out.count("no node has this slot") == 1


@pytest.mark.parametrize(
    "written",
    [("SET", "text"), ("HSET", "generation", 7), ("HSET", "generation", 7, "phase", "open", "until", 1)],
    ids=str,
)
async def test_what_somebody_else_wrote_over_a_circuit_is_written_anew(
    three: list[SharingReplica], written: tuple[str, *tuple[str | int, ...]]
) -> None:
    redis, key = three[0].sharing._redis, three[0].key
    command, *values = written
    await redis.delete(key)
    await redis.execute_command(command, key, *values)

    await exchange(*three)
    await opened(*three)

    assert [replica.sharing.away for replica in three] == [False] * 3


async def test_an_answer_that_is_none_is_told_and_asked_for_again(three: list[SharingReplica]) -> None:
    sharing, script = three[0].sharing, three[0].sharing._script

    async def broken(**_: object) -> list[list[int]]:
        return [[1, 2]]

    sharing._script = broken  # type: ignore[assignment]
    await sharing.exchange()
    away, sharing._script = sharing.away, script
    await exchange(*three)

    assert (away, sharing.away) == (True, False)


async def test_a_redis_that_lost_its_data_closes_nothing(three: list[SharingReplica], redis_uri: str) -> None:
    await opened(*three)
    await three[0].sharing._redis.flushdb()

    await exchange(*three)

    assert phases(*three) == {Phase.OPEN}
    assert all(500 < replica.refused_for() <= 600 for replica in three)


async def test_a_failover_that_lost_the_latest_change_closes_nothing(three: list[SharingReplica]) -> None:
    redis, key = three[0].sharing._redis, three[0].key
    before = await redis.dump(key)
    await opened(*three)

    await redis.restore(key, 0, before, replace=True)
    await exchange(*three)

    assert phases(*three) == {Phase.OPEN}
    assert all(500 < replica.refused_for() <= 600 for replica in three)
    assert [replica.circuit.begun[Phase.OPEN] for replica in three] == [1, 1, 1]


async def test_a_revision_with_another_window_shares_the_circuit_and_counts_calls_by_itself(
    three: list[SharingReplica], redis_uri: str
) -> None:
    """A release that is rolled back leaves no failures behind that are never forgotten."""
    newer = SharingReplica(redis_uri, 0.0, replace(POLICY, window_seconds=3.0))
    newer.call(Result.FAILURE, POLICY.minimum_calls - 1)
    await exchange(newer, *three)
    three[0].call(Result.FAILURE)
    three[1].call(Result.SUCCESS)
    await exchange(newer, *three)
    assert phases(newer, *three) == {Phase.CLOSED}

    three[2].call(Result.FAILURE, POLICY.minimum_calls)
    await exchange(newer, *three)
    assert phases(newer, *three) == {Phase.OPEN}
    await newer.sharing.close()


async def test_a_connection_that_redis_closes_is_no_outage(redis_server: RedisServer) -> None:
    replica = SharingReplica(redis_server.uri, started_at=0.0)
    await exchange(replica)

    with capture_logs() as logs:
        assert await close_connections(redis_server) == 1
        replica.call(Result.FAILURE, POLICY.minimum_calls)
        await replica.sharing.exchange()

        assert not replica.sharing.away
        await replica.sharing.close()

    assert [log["event"] for log in logs if log["event"].startswith("circuits.")] == []
