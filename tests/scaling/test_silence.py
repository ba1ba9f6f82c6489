"""What `ScalingActive` says while replicas don't answer: the last answer stands for half a minute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lgs_crds import LangGraphService, parse
from lgs_operator.scaling import Memory, Observation, Policy, decide
from lgs_operator.simulate.loads import poisson
from lgs_operator.simulate.record import Record
from lgs_operator.simulate.service import Simulation
from lgs_operator.status.scaling import ScalingView, scaling_view
from scaling.loads import steps

POLICY = Policy(min_replicas=1, max_replicas=60, slots=8, hold_seconds=20)
SERVICE: LangGraphService = parse(
    {
        "apiVersion": "lgs.dev/v1alpha1",
        "kind": "LangGraphService",
        "metadata": {"name": "support"},
        "spec": {"image": "registry.example/support:1", "persistence": {"postgres": {"managed": {}}}},
    }
)


def silent(when: Callable[[float], bool]) -> Callable[[float, Observation], Observation | None]:
    """Takes away all answers of the rounds in which `when` holds; replicas still take work."""

    def some(now: float, seen: Observation) -> Observation | None:
        lost = len(seen.samples)
        return replace(seen, samples=(), failed=lost) if when(now) else seen

    return some


def said(record: Record) -> list[tuple[float, str]]:
    """The times and reasons of `ScalingActive`, where it changed."""
    changes: list[tuple[float, str]] = []
    for each in record.rounds:
        view = scaling_view(SERVICE, each.decision, ScalingView(), each.at)  # type: ignore[arg-type]
        reason = next(one.reason for one in view.conditions if one.type == "ScalingActive")
        if not changes or changes[-1][1] != reason:
            changes.append((each.at, reason))
    return changes


def played(when: Callable[[float], bool], seconds: float = 180) -> Record:
    load = poisson(lambda _: 20.0, seconds, run=2.0)
    return Simulation(POLICY, decide, Memory(), faults=silent(when)).play(load, seconds)


@pytest.mark.parametrize("lost", [lambda at: at == 100, lambda at: at % 2 == 0 and at > 60])
def test_rounds_that_are_lost_now_and_then_are_no_news(lost: Callable[[float], bool]) -> None:
    assert said(played(lost)) == [(1.0, "Measuring")]


def test_after_half_a_minute_of_silence_it_is_told_and_the_first_answer_ends_it() -> None:
    record = played(lambda at: 100 <= at < 150)

    assert said(record) == [(1.0, "Measuring"), (129.0, "NoData"), (150.0, "Measuring")]
    assert len({each.decision.replicas for each in record.rounds if 100 <= each.at < 150}) == 1


def test_replicas_that_have_never_answered_are_told_at_once() -> None:
    assert said(played(lambda at: at < 10)) == [(1.0, "NoData"), (10.0, "Measuring")]


def test_a_replica_that_keeps_the_others_from_going_is_told_after_half_a_minute() -> None:
    def one_is_silent(now: float, seen: Observation) -> Observation:
        return replace(seen, samples=seen.samples[1:], failed=1) if now > 80 and seen.ready > 1 else seen

    load = poisson(steps((0, 40), (60, 1)), 200, run=2.0)
    record = Simulation(POLICY, decide, Memory(), faults=one_is_silent).play(load, 200)

    changes = said(record)
    assert [reason for _, reason in changes] == ["Measuring", "NoData"]
    assert changes[1][0] >= 80 + 30
    assert "none is taken away" in record.at(150).decision.reason
