"""Nothing that was acknowledged is lost, whatever fails: replicas, the database, the network, Redis.

Each test plays sessions of several steps against real replicas, makes one thing fail while they run, and
asks three accounts: the clients' (each run ended once, with every step in its final state), the steps' own
(no step ran again whose checkpoint was stored), and the database's (no run is unfinished, no thread busy).
"""

from __future__ import annotations

import time

import pytest

from chaos.field import LEASE_SECONDS, Field
from chaos.ordeal import ordeal, ordeal_of_killed_replicas, ordeal_without_lost_leases


async def test_a_replica_is_killed(field: Field) -> None:
    verdict = await ordeal_of_killed_replicas(field)

    assert verdict.clean(), verdict
    assert verdict.resumed > 0


@pytest.mark.parametrize("durability", ["async", "exit"])
async def test_a_replica_is_killed_whose_checkpoints_come_later_than_its_steps(
    field: Field, durability: str
) -> None:
    verdict = await ordeal_of_killed_replicas(field, durability=durability)

    assert verdict.clean(durability), verdict
    assert verdict.resumed > 0


async def test_the_database_crashes_under_checkpoints_that_are_on_their_way(field: Field) -> None:
    def crash() -> None:
        field.server.stop(crash=True)
        time.sleep(1.0)
        field.server.start()

    verdict = await ordeal(field, crash, step_seconds=0.05, steps=12, durability="async")

    assert verdict.clean("async"), verdict


async def test_every_replica_is_killed_and_new_ones_start(field: Field) -> None:
    def all_die(field: Field) -> None:
        for replica in list(field.fleet.replicas):
            field.fleet.end(replica)
        field.fleet.start(2)

    verdict = await ordeal_of_killed_replicas(field, all_die)

    assert verdict.clean(), verdict
    assert verdict.resumed > 0


async def test_postgres_crashes_and_recovers(field: Field) -> None:
    def crash() -> None:
        field.server.stop(crash=True)
        time.sleep(1.0)
        field.server.start()

    verdict = await ordeal(field, crash)

    assert verdict.clean(), verdict


async def test_postgres_stands_still_for_longer_than_a_lease(field: Field) -> None:
    verdict = await ordeal(field, lambda: field.pause_database(LEASE_SECONDS * 1.5))

    assert verdict.clean(), verdict


async def test_all_connections_to_the_database_break_again_and_again(field: Field) -> None:
    def cuts() -> None:
        for _ in range(8):
            field.to_database.cut()
            time.sleep(0.3)

    verdict = await ordeal(field, cuts, steps=6)

    assert verdict.clean(), verdict


async def test_the_database_can_not_be_reached_for_longer_than_a_lease(field: Field) -> None:
    def away() -> None:
        field.to_database.refuse()
        time.sleep(LEASE_SECONDS * 1.5)
        field.to_database.mend()

    verdict = await ordeal(field, away)

    assert verdict.clean(), verdict


async def test_the_network_swallows_everything_for_longer_than_a_lease(field: Field) -> None:
    def silence() -> None:
        field.to_database.freeze()
        time.sleep(LEASE_SECONDS * 1.5)
        field.to_database.mend()

    verdict = await ordeal(field, silence)

    assert verdict.clean(), verdict


async def test_redis_goes_and_comes_back_empty(field: Field) -> None:
    def away() -> None:
        field.redis.stop()
        time.sleep(1.0)
        field.redis.start()

    verdict = await ordeal_without_lost_leases(field, away)

    assert verdict.clean(), verdict
    assert verdict.repeated == ()


async def test_a_step_longer_than_the_lease_runs_once_while_its_replica_lives(field: Field) -> None:
    verdict = await ordeal_without_lost_leases(field, lambda: None, leases=2.0, runs=3, steps=1)

    assert verdict.clean(), verdict
    assert verdict.repeated == ()
    assert verdict.resumed == 0
