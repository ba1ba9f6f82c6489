"""What the wait that a user allows decides besides head-room, as stories on a simulated clock."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from lgs_operator.scaling import Memory, Policy, decide
from lgs_operator.simulate.candidates import OURS, varied
from lgs_operator.simulate.comparison import compare
from lgs_operator.simulate.conditions import Conditions
from lgs_operator.simulate.front import front, unmatched
from lgs_operator.simulate.loads import Named, named, poisson
from lgs_operator.simulate.record import Job, Record
from lgs_operator.simulate.service import Simulation
from scaling.loads import steps

POLICY = Policy(max_replicas=60, slots=8, p95_latency_seconds=None)
RATE = 20.0
PATIENCE = (0.05, 1.0, 30.0)


def play(load: list[Job], seconds: float, startup: float = 20.0, **settings: float) -> Record:
    policy = replace(POLICY, **settings)  # type: ignore[arg-type]
    return Simulation(policy, decide, Memory(), startup_seconds=startup).play(load, seconds)


def late(record: Record) -> float:
    return sum(wait > 5 for wait in record.waits) / len(record.waits)


@cache
def bursts_of_five_minutes(wait: float) -> Record:
    """Ten times the load for 15 s in every five minutes, the first after two minutes."""
    load = poisson(lambda at: 40 if at >= 120 and (at - 120) % 300 < 15 else 4, 1500, run=2.0, seed=3)
    return play(load, 1500, queue_wait_seconds=wait)


def test_the_stricter_the_wait_the_fewer_runs_of_bursts_are_late_and_patience_is_cheap() -> None:
    strict, usual, patient = (bursts_of_five_minutes(wait) for wait in PATIENCE)

    assert late(strict) < late(usual) < late(patient)
    assert patient.replica_seconds < 0.6 * min(usual.replica_seconds, strict.replica_seconds)


def test_a_strict_wait_has_room_when_one_burst_comes_back_after_five_minutes() -> None:
    strict, usual, patient = (bursts_of_five_minutes(wait).at(415).ready for wait in PATIENCE)

    assert strict >= 0.8 * 40 * 2.0 / POLICY.slots
    assert usual <= 3
    assert patient <= 2


def test_runs_of_a_burst_that_may_wait_need_fewer_slots_ready_than_run_at_once() -> None:
    usual, patient = (
        bursts_of_five_minutes(wait).at(900).decision.inputs["burstSlots"] for wait in (1.0, 10.0)
    )

    assert usual >= 60
    assert 20 <= patient <= 0.75 * usual


@pytest.mark.parametrize(
    ("wait", "hold"), [(0.05, 60.0), (1.0, 60.0), (4.0, 30.0), (16.0, 15.0), (900.0, 10.0)]
)
def test_replicas_go_sooner_where_runs_may_wait(wait: float, hold: float) -> None:
    load = poisson(lambda _: 2.0, 30, run=2.0)

    assert play(load, 30, queue_wait_seconds=wait).at(29).decision.inputs["holdSeconds"] == hold


def test_a_hold_that_is_set_holds_whatever_runs_may_wait() -> None:
    load = poisson(steps((0, 40), (100, 2)), 260, run=2.0)

    for wait in (1.0, 30.0):
        record = play(load, 260, queue_wait_seconds=wait, hold_seconds=90.0)

        assert record.at(185).decision.replicas >= 40 * 2.0 / POLICY.slots
        assert record.at(259).decision.replicas <= 3


def test_a_load_that_nobody_knows_yet_finds_room_to_grow_and_a_steady_one_pays_for_it_ten_minutes() -> None:
    load = poisson(steps((0, 8), (300, 24)), 420, run=2.0, seed=4)
    steady = poisson(lambda _: 8.0, 900, run=2.0, seed=4)

    strict, usual = (play(load, 420, queue_wait_seconds=wait) for wait in (0.05, 1.0))
    wanted = play(steady, 900, queue_wait_seconds=0.05)

    assert late(strict) < 0.2 * late(usual)
    assert wanted.at(300).decision.replicas >= 2 * wanted.at(899).decision.replicas
    assert "as it may still grow" in wanted.at(300).decision.reason


def test_the_runs_that_are_there_count_while_it_is_not_known_how_long_they_take() -> None:
    # The first to end are short, and there are too few of them to say so.
    load = [Job(0.5 * number, 1.0 if number % 3 == 0 else 20.0) for number in range(240)]

    record = play(load, 60)

    told = [each for each in record.rounds if "if they take longer" in each.decision.reason]
    assert told
    assert record.at(20).decision.replicas >= record.at(20).in_use / POLICY.slots
    assert record.at(40).ready >= 3


@pytest.mark.parametrize("name", [Named.SPIKE, Named.BURSTS])
def test_no_point_of_another_law_is_cheaper_and_less_late_than_all_of_ours(name: Named) -> None:
    policy = Policy(max_replicas=30, slots=8)
    points = front(compare(varied(policy), named(name, policy, rate=RATE, seed=7), Conditions()))

    lost = [(each.outcome.law, each.outcome.target) for each in unmatched(points)]

    assert len(lost) <= 1, lost
    assert len({each.hours for each in points if each.outcome.law == OURS}) > 4
