"""What the scaling law promises, as stories on a simulated clock."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import product
from math import ceil

import pytest

from lgs_operator.scaling import Histogram, Memory, Observation, Policy, ReplicaSample, decide
from lgs_operator.scaling.samples import NoSample, first_without, typical_startup
from lgs_operator.simulate.loads import poisson
from lgs_operator.simulate.record import Job, Record
from lgs_operator.simulate.service import Simulation
from scaling.loads import conversation, steps

POLICY = Policy(min_replicas=1, max_replicas=60, slots=8, hold_seconds=20)


def play(load: list[Job], seconds: float, policy: Policy = POLICY, startup: float = 5.0) -> Record:
    return Simulation(policy, decide, Memory(), startup_seconds=startup).play(load, seconds)


def test_a_spike_of_ten_times_is_answered_within_two_samples_and_never_by_more_than_the_overshoot() -> None:
    need = 40 * 2.0 / POLICY.slots
    for overshoot, seed in product((1.5, 3.0), range(1, 4)):
        load = poisson(steps((0, 4), (60, 40)), 150, run=2.0, seed=seed)

        record = play(load, 150, replace(POLICY, overshoot=overshoot))

        assert record.at(62).decision.replicas > record.at(60).decision.replicas
        assert record.at(75).decision.replicas >= need
        assert record.most_replicas() <= overshoot * 1.15 * need


def test_the_wait_that_was_asked_for_is_kept_and_a_longer_one_costs_less() -> None:
    load = poisson(lambda _: 10.0, 900, run=2.0, seed=5)
    paid = []
    for asked in (0.05, 1.0, 10.0):
        record = play(load, 900, replace(POLICY, queue_wait_seconds=asked))
        steady = record.waits[1500:]

        assert sum(wait > asked for wait in steady) <= 0.03 * len(steady)
        paid.append(record.replica_seconds)

    assert paid[0] > paid[1] > paid[2]


def test_a_latency_that_leaves_little_time_to_wait_is_kept_by_more_replicas() -> None:
    load = [Job(job.at, 1.0) for job in poisson(lambda _: 12.0, 900, run=1.0, seed=5)]
    easy = replace(POLICY, queue_wait_seconds=5.0, p95_latency_seconds=None)

    strict, loose = play(load, 900, replace(easy, p95_latency_seconds=2.2)), play(load, 900, easy)

    late = [sum(wait > 1.2 for wait in record.waits[2000:]) for record in (strict, loose)]
    assert late[0] < 0.05 * len(strict.waits[2000:])
    assert strict.replica_seconds > loose.replica_seconds


def test_arrivals_in_batches_are_no_change_of_the_rate() -> None:
    batches = [Job(3.0 * number, 5.0) for number in range(300) for _ in range(20)]

    record = play(batches, 900, startup=20.0)

    wanted = {each.decision.replicas for each in record.rounds if each.at > 300}
    need = 20 / 3 * 5.0 / POLICY.slots
    assert max(wanted) <= 2 * need
    assert len(wanted) <= 4


def test_requests_that_a_full_queue_refuses_are_load() -> None:
    def refusing(now: float, rejected: float) -> Observation:
        sample = ReplicaSample("a", at=now, slots=8, in_use=8, waiting=10, arrived=8.0, rejected=rejected)
        return Observation(now, (sample,), ready=1, startup_seconds=20.0)

    memory, ran = Memory(), Histogram((4.0, float("inf")), (50.0, 50.0), 100.0, 50.0)
    wanted = []
    for second in range(4):
        seen = refusing(1000.0 + second, 40.0 * second)
        seen = replace(seen, samples=(replace(seen.samples[0], execution=ran if second else Histogram()),))
        decision = decide(POLICY, seen, memory, 1000.0 + second)
        memory = decision.memory
        wanted.append(decision.replicas)

    assert wanted[2] >= 40 * 2.0 / POLICY.slots


def test_a_replica_that_never_answers_does_not_keep_the_others_for_ever() -> None:
    def one_is_silent(now: float, seen: Observation) -> Observation:
        return replace(seen, samples=seen.samples[1:], failed=1) if now > 60 and seen.ready > 1 else seen

    load = poisson(steps((0, 40), (100, 1)), 700, run=2.0)
    record = Simulation(POLICY, decide, Memory(), faults=one_is_silent).play(load, 700)

    assert record.at(300).decision.replicas >= record.at(100).decision.replicas > 5
    assert record.at(699).decision.replicas <= 3


def test_a_clock_that_jumps_forward_takes_nothing_away_before_the_hold() -> None:
    load = poisson(steps((0, 40), (100, 1)), 180, run=2.0)
    simulation = Simulation(replace(POLICY, hold_seconds=60), decide, Memory())

    def jump(now: float, seen: Observation) -> Observation:
        if now == 110:
            simulation.epoch += 3600
        return seen

    simulation.faults = jump
    record = simulation.play(load, 180)

    assert record.at(140).decision.replicas == record.at(100).decision.replicas
    assert record.at(179).decision.replicas < record.at(100).decision.replicas


def test_one_stuck_replica_does_not_make_the_start_up_long() -> None:
    assert typical_startup([12.0, 11.0, 900.0, 13.0]) == 12.0
    assert typical_startup([]) is None


def test_long_runs_are_not_forgotten_while_the_first_short_ones_end() -> None:
    load = [Job(0.1 * number, 60.0 if number % 4 else 0.5) for number in range(3000)]

    record = play(load, 60, startup=20.0)

    assert record.at(40).decision.inputs["runSeconds"] > 10


def test_after_a_spike_the_service_is_back_at_its_minimum_and_nothing_was_taken_away_early() -> None:
    load = poisson(steps((0, 1), (60, 40), (120, 1)), 260, run=2.0)

    record = play(load, 260)

    assert min(each.decision.replicas for each in record.rounds if 75 <= each.at <= 130) >= 10
    assert record.at(259).decision.replicas == 1


def test_a_dip_shorter_than_the_hold_takes_nothing_away() -> None:
    load = poisson(steps((0, 20), (100, 1), (110, 20)), 160, run=2.0)

    record = play(load, 160)

    before = record.at(99).decision.replicas
    assert min(each.decision.replicas for each in record.rounds if 99 <= each.at <= 118) == before


def test_bursts_that_come_back_find_room_and_one_burst_leaves_none_behind() -> None:
    often = poisson(lambda at: 2 + 40 * (at % 100 < 30), 700, run=2.0)
    once = poisson(steps((0, 2), (100, 42), (130, 2)), 700, run=2.0)

    sawtooth, single = play(often, 700), play(once, 700)

    assert sawtooth.at(599).decision.replicas >= 10
    assert sum(wait > 5 for wait in sawtooth.waits[-4000:]) == 0
    assert single.at(599).decision.replicas <= 2


def test_what_is_ready_for_bursts_goes_ten_holds_after_the_last_but_one() -> None:
    policy = replace(POLICY, hold_seconds=10)
    thrice = poisson(lambda at: 1 + 40 * (at < 200 and at % 60 < 20), 400, run=2.0)

    record = play(thrice, 400, policy, startup=20.0)

    assert record.at(170).decision.replicas >= 8
    assert record.at(399).decision.replicas <= 2


def test_a_batch_that_comes_at_once_is_remembered_as_what_it_was_and_not_as_a_rate() -> None:
    policy = replace(POLICY, slots=10)
    batches = [Job(at, 24.0) for at in (100.0, 160.0, 220.0) for _ in range(200)]

    record = play(batches, 330, policy)

    assert max(each.decision.inputs.get("burstSlots", 0.0) for each in record.rounds) <= 200


def test_long_sessions_keep_their_slots_though_nothing_new_arrives() -> None:
    short = poisson(lambda _: 2.0, 200, run=1.0)
    sessions = [Job(20.0 + 0.1 * number, 150.0) for number in range(30)]

    record = play(sorted([*short, *sessions], key=lambda job: job.at), 165)

    assert min(each.decision.replicas for each in record.rounds if 60 <= each.at <= 160) >= 30 / POLICY.slots


def test_while_runs_wait_for_a_slot_no_replica_goes() -> None:
    batch = [Job(20.0 + 0.01 * number, 2.0) for number in range(1500)]

    record = play(batch, 90)

    busy = [each.decision.replicas for each in record.rounds if each.waiting]
    assert busy == sorted(busy)


def test_replicas_on_their_way_count_so_a_slow_start_does_not_overshoot() -> None:
    load = poisson(steps((0, 4), (60, 40)), 200, run=2.0)

    record = play(load, 200, replace(POLICY, overshoot=1.5), startup=30.0)

    assert record.at(60 + 29).ready < 10
    assert record.most_replicas() <= 1.5 * 1.15 * 40 * 2.0 / POLICY.slots


def test_the_time_a_replica_takes_to_start_is_measured() -> None:
    simulation = Simulation(POLICY, decide, Memory(), startup_seconds=12.0)

    simulation.play(poisson(steps((0, 4), (30, 40)), 120, run=2.0), 120)

    assert 10 <= simulation.memory.startup_seconds <= 14


def test_runs_that_are_slow_by_themselves_get_no_replicas_and_the_reason_says_so() -> None:
    policy = replace(POLICY, slots=50, p95_latency_seconds=2.0)
    load = poisson(lambda _: 1.0, 200, run=8.0)

    record = play(load, 200, policy)

    assert record.most_replicas() == 1
    assert record.rounds[-1].decision.code == "RunsSlow"
    assert "more replicas would not help" in record.rounds[-1].decision.reason


def test_a_reason_names_the_target_by_which_a_load_needs_more_slots_than_it_keeps_in_use() -> None:
    load = poisson(lambda _: 10.0, 200, run=2.0, seed=3)
    room = {
        r"of them are in use at most \(utilization\)": replace(POLICY, utilization=0.2),
        r"waits more than 100 ms \(queueWaitSeconds\)": replace(POLICY, queue_wait_seconds=0.1),
        r"\(p95LatencySeconds\)": replace(POLICY, queue_wait_seconds=9.0, p95_latency_seconds=6.0),
    }

    for said, policy in room.items():
        reasons = [each.decision.reason for each in play(load, 200, policy).rounds]

        in_full = rf"keep \d+ slots in use and need \d+, so that .*{said}.*: \d+ replicas of 8 slots"
        assert any(re.search(in_full, reason) for reason in reasons), said


def test_a_service_that_nobody_calls_is_told_in_plain_words_and_its_first_run_in_numbers() -> None:
    load = [Job(60.0, 3.0)]

    reasons = [each.decision.reason for each in play(load, 90, POLICY).rounds if each.at < 90]

    assert reasons[0] == "no new runs come and none waits; minReplicas is 1"
    assert any(re.search(r"0\.\d runs/s .*keep \d slots in use", reason) for reason in reasons)


def test_the_numbers_of_a_reason_make_the_number_of_replicas() -> None:
    told = re.compile(r"keep (\d+) slots in use(?: and need (\d+), so)?(.*): (\d+) replicas? of 8 slots(.*)")
    load = poisson(steps((0, 4), (60, 40), (100, 2)), 200, run=2.0)

    decisions = [each.decision for each in play(load, 200, replace(POLICY, queue_wait_seconds=0.2)).rounds]

    with_numbers = [(each, found) for each in decisions if (found := told.search(each.reason)) is not None]
    assert len(with_numbers) > len(decisions) / 5
    for decision, found in with_numbers:
        in_use, needed, beside, replicas, stay = found.groups()
        more = re.findall(r"with room for (\d+)|bursts need (\d+)", beside)
        slots = [needed or in_use, *(number for pair in more for number in pair if number)]
        explained = ceil(max(map(int, slots)) / 8)
        assert int(replicas) <= max(1, explained) or "wait" in beside, found[0]
        assert int(replicas) == decision.replicas or stay, found[0]


def test_rounds_without_data_change_nothing() -> None:
    load = poisson(lambda _: 20.0, 200, run=2.0)
    simulation = Simulation(POLICY, decide, Memory(), faults=lambda now, seen: None if now > 100 else seen)

    record = simulation.play(load, 200)

    before = record.at(100).decision.replicas
    after = [each.decision for each in record.rounds if each.at > 100]
    assert {each.replicas for each in after} == {before}
    assert {each.code for each in after} == {"NoData"}


def test_while_some_replicas_give_no_data_none_is_taken_away() -> None:
    def half_blind(now: float, seen: Observation) -> Observation:
        if now <= 60:
            return seen
        kept = seen.samples[::2]
        return replace(seen, samples=kept, failed=len(seen.samples) - len(kept))

    load = poisson(steps((0, 40), (60, 1)), 200, run=2.0)

    record = Simulation(POLICY, decide, Memory(), faults=half_blind).play(load, 200)

    assert record.at(199).decision.replicas >= record.at(60).decision.replicas


def test_a_decision_without_data_says_of_one_replica_why_it_gave_none() -> None:
    unread = NoSample("support-1", "no whole answer within 1 s")
    silent = Observation(at=0.0, samples=(), ready=2, failed=2, example=unread)

    found = decide(POLICY, silent, Memory(), 0.0)

    assert found.code == "NoData"
    assert "none of 2 replicas gave data (support-1: no whole answer within 1 s)" in found.reason


@pytest.mark.parametrize(
    ("answers", "first"),
    [
        ([NoSample("b", "late"), NoSample("a", "HTTP 404")], NoSample("a", "HTTP 404")),
        ([], None),
    ],
)
def test_the_replica_that_is_named_is_the_same_in_each_round(
    answers: list[NoSample], first: NoSample | None
) -> None:
    assert first_without(answers) == first_without(answers[::-1]) == first


def test_a_new_operator_goes_on_where_the_old_one_stopped() -> None:
    load = poisson(lambda _: 20.0, 200, run=2.0)
    simulation = Simulation(POLICY, decide, Memory())

    def restart(now: float, seen: Observation) -> Observation:
        if now == 100:
            simulation.memory = Memory.from_json(simulation.memory.to_json())
        return seen

    simulation.faults = restart
    record = simulation.play(load, 200)

    around = [each.decision for each in record.rounds if 95 <= each.at <= 106]
    assert len({each.replicas for each in around}) == 1
    assert all(abs(each.inputs["arrivalsPerSecond"] - 20) < 6 for each in around)


def test_counters_of_hours_are_no_spike_to_an_operator_that_sees_them_first() -> None:
    old = ReplicaSample(replica="a", at=1000.0, slots=8, arrived=1e6, finished=1e6)

    first = decide(POLICY, Observation(1000.0, (old,), ready=1), Memory(), 1000.0)
    second = decide(POLICY, Observation(1001.0, (replace(old, at=1001.0),), ready=1), first.memory, 1001.0)

    assert (first.replicas, second.replicas) == (1, 1)
    assert second.inputs["arrivalsPerSecond"] == 0


def test_the_bounds_hold_and_the_decision_says_that_they_did() -> None:
    policy = replace(POLICY, min_replicas=2, max_replicas=3)
    load = poisson(steps((0, 0.1), (60, 60)), 120, run=2.0)

    record = play(load, 120, policy)

    assert record.at(50).decision.replicas == 2
    assert record.at(50).decision.limited == "min"
    assert record.at(100).decision.replicas == 3
    assert record.at(100).decision.limited == "max"
    assert "maxReplicas is 3" in record.at(100).decision.reason


def test_an_overloaded_process_gets_help_though_its_slots_are_free() -> None:
    slow = Histogram((1.0, 4.0, float("inf")), (0.0, 50.0, 50.0), 150.0, 50.0)
    start = ReplicaSample(replica="a", at=1000.0, slots=8, in_use=4, loop_lag=0.8)
    policy = replace(POLICY, p95_latency_seconds=1.0)

    first = decide(policy, Observation(1000.0, (start,), ready=1), Memory(), 1000.0)
    after = replace(start, at=1001.0, latency=slow, execution=slow, finished=50.0)
    second = decide(policy, Observation(1001.0, (after,), ready=1), first.memory, 1001.0)

    assert second.replicas == 2
    assert second.code == "Saturated"


def test_the_memory_of_a_large_and_busy_service_stays_small() -> None:
    policy = replace(POLICY, max_replicas=400, hold_seconds=300)
    load = poisson(lambda at: 5 + 150 * (at % 120 < 60), 400, run=4.0)
    simulation = Simulation(policy, decide, Memory(), tick=1.0)

    simulation.play(load, 400)

    assert len(simulation.memory.to_json()) < 8 * 1024


def test_a_damaged_memory_is_an_empty_one() -> None:
    damaged = json.dumps({**json.loads(Memory().to_json()), "flow": ["x"]})

    assert Memory.from_json(damaged) == Memory()
    assert Memory.from_json(None) == Memory()
    assert Memory.from_json('{"v": 99}') == Memory()
    assert Memory.from_json('{"v": 1') == Memory()


def test_an_hour_of_real_conversations_is_served_without_long_waits() -> None:
    record = play(conversation(), 3500, startup=20.0)

    late = sum(wait > 5 for wait in record.waits) / len(record.waits)
    assert late < 0.03
    assert record.replica_seconds / 3600 < 12
