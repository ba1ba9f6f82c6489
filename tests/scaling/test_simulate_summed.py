"""A day of runs is played quickly: laws that only add the replicas up get one answer of all of them, and
decide as they do on the answers of each."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from lgs_operator.scaling import Policy
from lgs_operator.simulate.candidates import Candidate, compared, ours
from lgs_operator.simulate.comparison import Outcome, play
from lgs_operator.simulate.conditions import Conditions, Fault
from lgs_operator.simulate.loads import MONDAY, Load, poisson

SEEDS = range(6)


def any_load(dice: random.Random) -> Load:
    """Minutes of one rate after the other, from nothing to more than all replicas can do."""
    rates = [dice.choice((0.0, 0.3, 2.0, 6.0, 20.0)) for _ in range(10)]
    seconds, run = 60.0 * len(rates), dice.choice((0.5, 2.0, 9.0, 40.0))
    jobs = poisson(lambda at: rates[int(at // 60)], seconds, run, dice.randrange(1000), most=20.0)
    return Load("any", tuple(jobs), seconds, MONDAY)


def any_policy(dice: random.Random) -> Policy:
    return Policy(
        min_replicas=dice.randint(1, 3),
        max_replicas=dice.choice((4, 12, 30)),
        slots=dice.choice((1, 4, 8)),
        queue_wait_seconds=dice.choice((0.2, 1.0, 10.0)),
        hold_seconds=dice.choice((10.0, 60.0)),
        p95_latency_seconds=dice.choice((None, 5.0)),
    )


def apart(candidate: Candidate) -> Candidate:
    return replace(candidate, summed=False)


def course(outcome: Outcome) -> tuple[object, ...]:
    """What was decided when, and what came of it."""
    return outcome.timeline, outcome.waits, outcome.latencies, outcome.replica_seconds


@pytest.mark.parametrize("seed", SEEDS)
def test_one_answer_of_all_replicas_leads_to_the_same_decisions_as_one_of_each(seed: int) -> None:
    dice = random.Random(seed)
    load, policy = any_load(dice), any_policy(dice)
    conditions = Conditions(dice.choice((1.0, 20.0)), frozenset(dice.choice(((), (Fault.SLOW_START,)))), seed)
    summed = [each for each in compared(policy) if each.summed]
    changes = 0

    for candidate in summed:
        together = play(candidate, load, conditions)
        assert course(together) == course(play(apart(candidate), load, conditions)), candidate.name
        changes += together.changes

    assert changes > 0


def test_answers_that_get_lost_are_each_replicas_own() -> None:
    dice = random.Random(7)
    load, policy = any_load(dice), any_policy(dice)
    lost = Conditions(20.0, frozenset({Fault.LOST_SCRAPES}), 1)

    assert course(play(ours(policy), load, lost)) == course(play(apart(ours(policy)), load, lost))
    assert course(play(ours(policy), load, lost)) != course(play(ours(policy), load, Conditions(20.0)))
