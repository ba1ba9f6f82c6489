"""The front of each law, the numbers that meet a target, and the pictures of both."""

from __future__ import annotations

import pytest

from lgs_operator.scaling import Policy
from lgs_operator.simulate import drawing
from lgs_operator.simulate.advice import Target, advise
from lgs_operator.simulate.candidates import (
    FIXED,
    HPA,
    KEDA,
    KPA,
    OURS,
    PLATFORM,
    QUEUE,
    Candidate,
    compared,
    fixed,
    varied,
)
from lgs_operator.simulate.comparison import Outcome, Players, compare, play
from lgs_operator.simulate.conditions import Conditions
from lgs_operator.simulate.front import front, unmatched
from lgs_operator.simulate.loads import Load, LoadError, Named, named
from lgs_operator.simulate.record import Job, Timeline
from lgs_operator.simulate.report import losses

POLICY = Policy(max_replicas=30, slots=8)
USUAL = Conditions()


def outcome(late: float, hours: float, law: str = OURS, target: float | None = None) -> Outcome:
    waits = tuple(sorted([0.0] * round(100 * (1 - late)) + [9.0] * round(100 * late)))
    return Outcome(law, target, waits, waits, Timeline(), 3600 * hours)


def test_the_front_is_what_no_law_beats_and_says_where_ours_loses() -> None:
    ours = [outcome(0.05, 4.0), outcome(0.01, 6.0)]
    matched, better, useless = (
        outcome(late, hours, law, 0.5)
        for late, hours, law in ((0.02, 7.0, HPA), (0.03, 5.0, KEDA), (0.9, 1.0, QUEUE))
    )
    known_before = outcome(0.0, 3.0, FIXED, 6)

    points = front([*ours, matched, better, useless, known_before])

    assert [each.is_on_front for each in points] == [True, True, False, True, True, True]
    assert [each.outcome.law for each in unmatched(points)] == [KEDA]
    assert losses(points).startswith("for 1 of 2 points of the others there is one of ours")
    assert losses(points).endswith("not for KEDA at 0.5")
    assert losses(front([*ours, matched])).startswith("for each of 1 points of the others")


def test_each_law_is_varied_by_the_number_that_its_user_sets() -> None:
    many = varied(POLICY)

    assert {each.policy.queue_wait_seconds for each in many if each.name == OURS} >= {0.05, 1.0, 30.0}
    assert {each.name for each in many} == {OURS, HPA, KEDA, QUEUE, PLATFORM, KPA, FIXED}
    assert all(len({each.target for each in many if each.name == law.name}) >= 5 for law in many)


def test_a_stricter_number_is_never_later_for_a_steady_load() -> None:
    load = named(Named.STEADY, POLICY, rate=12.0)
    ours = [each for each in varied(POLICY) if each.name == OURS]

    strict, *_, loose = compare([ours[0], ours[-1]], load, USUAL)

    assert strict.late(5) <= loose.late(5)
    assert strict.replica_hours >= loose.replica_hours


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("p99 wait 5s", Target(99, "wait", 5)),
        ("P95 latency < 500 ms", Target(95, "latency", 0.5)),
        ("p99.9 wait under 2 min", Target(99.9, "wait", 120)),
        ("p50 wait 3", Target(50, "wait", 3)),
    ],
)
def test_a_target_is_told_in_words(text: str, target: Target) -> None:
    assert Target.parse(text) == target


@pytest.mark.parametrize(
    "text", ["", "p99", "wait 5s", "p0 wait 5s", "p99 wait 0s", "p99 wait -1s", "p100 wait 1s"]
)
def test_a_target_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(LoadError, match="--want is"):
        Target.parse(text)


def test_the_advice_meets_its_target_and_costs_no_more_than_what_is_always_there() -> None:
    policy, target = Policy(max_replicas=8, slots=4), Target(95, "wait", 2.0)
    load = step()

    with Players(load, USUAL, 1) as players:
        advice = advise(policy, target, players.play)

    assert not target.is_met(advice.now.outcome)
    assert advice.best is not None
    assert target.is_met(advice.best.outcome)
    assert advice.best.outcome.replica_hours <= 8 * load.seconds / 3600
    assert play(one(advice.best.policy), load, USUAL).waits == advice.best.outcome.waits


def step() -> Load:
    """From 2 to 12 runs a second, of 2 s each, in two minutes."""
    slow, quick = (0.5 * number for number in range(120)), (60 + number / 12 for number in range(720))
    return Load("step", tuple(Job(at, 2.0) for at in (*slow, *quick)), 120.0)


def one(policy: Policy) -> Candidate:
    return (
        fixed(policy, policy.max_replicas)
        if policy.min_replicas == policy.max_replicas
        else compared(policy)[0]
    )


def test_a_manifest_that_meets_its_target_is_only_made_cheaper() -> None:
    policy, target = Policy(min_replicas=6, max_replicas=8, slots=4), Target(90, "wait", 60.0)
    load = step()

    with Players(load, USUAL, 1) as players:
        advice = advise(policy, target, players.play)

    assert advice.best is not None
    assert target.is_met(advice.best.outcome)
    assert advice.best.outcome.replica_hours < advice.now.outcome.replica_hours


def test_where_too_few_replicas_are_allowed_the_advice_says_how_many_it_takes() -> None:
    policy, target = Policy(max_replicas=1, slots=2), Target(95, "wait", 1.0)
    load = step()

    with Players(load, USUAL, 1) as players:
        advice = advise(policy, target, players.play)

    assert advice.best is not None
    assert advice.best.policy.max_replicas > 1
    assert target.is_met(advice.best.outcome)


def test_a_target_that_the_runs_themselves_break_has_no_advice() -> None:
    load = Load("one long run", (Job(1.0, 50.0),), 60.0)

    with Players(load, USUAL, 1) as players:
        advice = advise(POLICY, Target(99, "latency", 5.0), players.play)

    assert advice.best is None


def test_the_pictures_have_a_row_for_each_law_and_a_point_for_each_play() -> None:
    load = step()
    laws = {each.law: each for each in compare(compared(POLICY), load, USUAL)}
    points = front([outcome(0.1, 2.0), outcome(0.0, 3.0, HPA, 0.5)])

    over_time, against = drawing.timeline(load, list(laws.values())), drawing.front(points)

    assert over_time.count("<polygon") == 1 + len(laws)
    assert all(f"{law}" in over_time for law in laws)
    assert against.count('r="4"') == 2
    assert all(f">{law}</text>" in against for law in (OURS, HPA)), "the legend says whose line is whose"
    assert over_time.startswith("<svg") and against.startswith("<svg")
