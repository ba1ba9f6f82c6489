"""A service whose replicas may all go, as stories: when the last one goes, when one comes, and when neither
happens."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgs_crds.model.scaling import ScheduledMinimum
from lgs_operator.scaling import Decision, Memory, Observation, Policy, ReplicaSample, decide
from lgs_operator.scaling.idleness import DOUBT_SECONDS
from lgs_operator.scaling.prediction import QUARTER_SECONDS, QUARTERS_A_DAY, Days
from lgs_operator.simulate.record import Job, Record
from lgs_operator.simulate.service import Simulation

POLICY = Policy(min_replicas=0, max_replicas=10, slots=8, hold_seconds=20, idle_seconds=120)
START = datetime(2026, 3, 2, 8, tzinfo=UTC).timestamp()
STARTUP = 20.0


def play(load: list[Job], seconds: float, policy: Policy = POLICY) -> Record:
    simulation = Simulation(policy, decide, Memory(), startup_seconds=STARTUP, tick=1.5, split=True)
    return simulation.play(load, seconds)


def front(now: float, waiting: int | None = 0, **more: object) -> ReplicaSample:
    """The sample of a replica that only answers requests."""
    return replace(ReplicaSample("front", now, slots=0, waiting=waiting), **more)  # type: ignore[arg-type]


def worker(now: float, **more: object) -> ReplicaSample:
    return replace(ReplicaSample("worker", now, slots=8), **more)  # type: ignore[arg-type]


def looks(*rounds: Observation, memory: Memory | None = None, policy: Policy = POLICY) -> Decision:
    """The decision after these rounds."""
    known = memory or Memory()
    for each in rounds:
        decision = decide(policy, each, known, each.at)
        known = decision.memory
    return decision


def asleep() -> Memory:
    """What is remembered of a service that has no replica."""
    quiet = Observation(START, (front(START),), ready=0, startup_seconds=STARTUP)
    decision = looks(quiet, memory=Memory(replicas=0, startup_seconds=STARTUP))
    assert decision.replicas == 0
    return decision.memory


def test_a_run_that_comes_to_a_service_without_replicas_is_executed_a_start_up_and_two_seconds_later() -> (
    None
):
    record = play([Job(100.0, 3.0)], 150)

    assert record.at(99).ready == 0
    assert list(record.waits) == pytest.approx([STARTUP], abs=2.0)


def test_the_last_replica_goes_when_nothing_has_come_for_as_long_as_was_asked() -> None:
    record = play([Job(10.0, 1.0), Job(100.0, 1.0)], 400)

    stays = [each.at for each in record.rounds if each.decision.replicas]

    assert stays[0] <= 12
    assert 100 + 120 <= stays[-1] <= 103 + 120 + 3
    assert all(earlier + 1.5 == later for earlier, later in pairwise(stays))
    assert record.rounds[-1].decision.reason == "nothing has come for 120 s: no replica"


def test_no_run_is_cut_short_however_long_it_is() -> None:
    record = play([Job(10.0, 900.0)], 1300)

    assert record.at(900).decision.replicas == 1
    assert len(record.latencies) == 1
    assert record.rounds[-1].decision.replicas == 0


def test_bursts_that_came_back_keep_no_replica_of_a_service_that_rests() -> None:
    bursts = [Job(30.0 + 40 * number, 2.0) for number in range(4) for _ in range(40)]

    record = play(bursts, 600)

    assert record.at(160).decision.replicas > 0
    assert record.at(320).decision.replicas == 0


def test_a_spike_finds_as_many_replicas_as_with_one_that_is_always_there() -> None:
    spike = [Job(200.0 + 0.05 * number, 2.0) for number in range(2000)]

    from_none, from_one = (
        play(spike, 320, replace(POLICY, min_replicas=least)).at(260).decision.replicas for least in (0, 1)
    )

    assert from_none >= from_one > 5


def test_a_replica_is_there_when_a_delayed_run_or_a_cron_is_due() -> None:
    def due_in(seconds: float) -> int:
        seen = Observation(START + 1, (front(START + 1, next_due_seconds=seconds),), ready=0)
        return looks(seen, memory=asleep()).replicas

    assert due_in(3600.0) == 0
    assert due_in(STARTUP + 1) == 1


def test_a_replica_stays_while_what_is_due_soon_has_not_come() -> None:
    rounds = [
        Observation(
            now,
            (front(now, next_due_seconds=START + 400 - now), worker(now)),
            ready=1,
            startup_seconds=STARTUP,
        )
        for now in (START + second for second in range(0, 399, 3))
    ]

    assert looks(*rounds[:121]).replicas == 0
    assert looks(*rounds).replicas == 1


def test_the_schedule_keeps_its_replicas_of_a_service_that_rests() -> None:
    office = ScheduledMinimum(cron="0 8 * * *", min_replicas=3, duration_seconds=3600)
    policy = replace(POLICY, schedule=(office,))

    def at(seconds: float) -> int:
        now = START + seconds
        return looks(Observation(now, (front(now),), ready=0), memory=asleep(), policy=policy).replicas

    assert [at(-600), at(-10), at(1800), at(3700)] == [0, 3, 3, 0]


def test_what_the_days_before_needed_is_ready_though_nothing_has_come() -> None:
    quarter = int(START // QUARTER_SECONDS)
    days = Days(quarter, levels="5" * (4 * QUARTERS_A_DAY))
    # The last hour was as those before it.
    memory = replace(asleep(), days=days)

    def wanted(policy: Policy) -> int:
        return looks(
            Observation(START + 1, (front(START + 1),), ready=0), memory=memory, policy=policy
        ).replicas

    assert [wanted(replace(POLICY, predict=predict)) for predict in (False, True)] == [0, 1]


def test_the_last_replica_stays_while_nobody_knows_whether_runs_wait() -> None:
    silent = [
        Observation(START + 3 * number, (worker(START + 3 * number),), ready=1, silent=1)
        for number in range(300)
    ]
    away = [
        Observation(each.at, (front(each.at, None), worker(each.at, waiting=None)), ready=1)
        for each in silent
    ]

    assert looks(*silent).replicas == 1
    assert looks(*away).replicas == 1


@pytest.mark.parametrize("waiting", ["nobody answers", "the database is silent"])
def test_a_replica_is_started_when_for_a_while_nobody_can_tell_whether_runs_wait(waiting: str) -> None:
    def seen(now: float) -> Observation:
        samples = () if waiting == "nobody answers" else (front(now, None),)
        return Observation(now, samples, ready=0, silent=1 - len(samples))

    at_once = looks(seen(START + 1), memory=asleep())
    later = looks(*(seen(START + second) for second in range(1, int(DOUBT_SECONDS) + 4)), memory=asleep())

    assert at_once.replicas == 0
    assert later.replicas == 1


def test_a_lost_answer_starts_nothing() -> None:
    rounds = []
    for second in range(1, 120, 2):
        now = START + second
        samples = (front(now),) if second % 4 == 1 else ()
        rounds.append(Observation(now, samples, ready=0, silent=1 - len(samples)))

    assert looks(*rounds, memory=asleep()).replicas == 0


def test_a_new_operator_goes_on_with_the_time_that_nothing_has_come() -> None:
    memory = asleep()
    busy = Observation(START + 1, (front(START + 1, 1),), ready=0)
    before = looks(busy, memory=memory).memory

    after = Memory.from_json(before.to_json())

    assert after.worked_at == before.worked_at == START + 1


def test_a_service_that_needs_a_replica_at_all_times_never_rests() -> None:
    record = play([], 400, replace(POLICY, min_replicas=1))

    assert {each.decision.replicas for each in record.rounds} == {1}


@settings(max_examples=10, deadline=None)
@given(
    times=st.lists(st.floats(0, 200), max_size=12).map(sorted),
    seconds=st.floats(0.1, 60),
    idle=st.floats(0, 90),
)
def test_whatever_comes_is_executed_and_afterwards_nothing_is_left(
    times: list[float], seconds: float, idle: float
) -> None:
    record = play([Job(at, seconds) for at in times], 420, replace(POLICY, idle_seconds=idle))

    assert len(record.latencies) == len(times)
    assert not record.still_waiting
    assert record.rounds[-1].decision.replicas == 0
    assert all(each.decision.replicas for each in record.rounds if each.waiting or each.in_use)
