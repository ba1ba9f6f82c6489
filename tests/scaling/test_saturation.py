"""Replicas that bring no more completed runs: what they share behind them is full."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lgs_operator.scaling import Decision, Memory, Observation, Policy, decide
from lgs_operator.scaling.saturation import NOT_SATURATED, Saturation, restored, stored, watched
from lgs_operator.scaling.throughput import Seen
from lgs_operator.simulate.loads import poisson
from lgs_operator.simulate.record import Job
from lgs_operator.simulate.service import Simulation
from scaling.loads import steps

POLICY = Policy(min_replicas=1, max_replicas=60, slots=8)
SPIKE = steps((0, 4), (120, 30))
"""Runs of 2 s: 60 slots at full speed, where what is behind them carries 40, so 20 runs a second."""


def play(
    jobs: list[Job],
    seconds: float,
    carries: Callable[[float], float] = lambda _: inf,
    policy: Policy = POLICY,
    faults: Callable[[float, Observation], Observation] | None = None,
    memory: Memory | None = None,
) -> list[tuple[float, Decision, int]]:
    """Time, decision and ready replicas of each round."""
    simulation = Simulation(policy, decide, memory or Memory(), startup_seconds=20.0, tick=1.5)

    def seen(now: float, observation: Observation) -> Observation:
        simulation.saturated_at = carries(now)
        return faults(now, observation) if faults else observation

    simulation.faults = seen
    record = simulation.play(jobs, seconds)
    return [(each.at, each.decision, each.ready) for each in record.rounds]  # type: ignore[misc]


def completed(rounds: list[tuple[float, Decision, int]], since: float) -> float:
    """The runs that ended by the second, from `since` on."""
    counted = [sum(each.finished for each in decision.memory.baselines.values()) for _, decision, _ in rounds]
    first = next(index for index, (at, _, _) in enumerate(rounds) if at >= since)
    return (counted[-1] - counted[first]) / (rounds[-1][0] - rounds[first][0])


@pytest.fixture(scope="module")
def full_downstream() -> list[tuple[float, Decision, int]]:
    return play(poisson(SPIKE, 860, run=2.0), 860, lambda _: 40.0)


def test_replicas_that_bring_no_more_completions_are_taken_back_and_told_with_numbers(
    full_downstream: list[tuple[float, Decision, int]],
) -> None:
    rounds = [each for each in full_downstream if each[0] <= 720]

    most = max(decision.replicas for _, decision, _ in rounds)
    _, last, ready = rounds[-1]
    assert most > 30
    assert ready <= 10
    assert completed(rounds, 600) > 0.9 * 20
    assert (last.code, last.limited) == ("DownstreamSaturated", "downstream")
    assert last.saturated is not None
    assert "replicas ended" in last.saturated
    assert f"{ready} end" in last.saturated


def test_when_more_runs_end_again_the_replicas_follow_the_load_again() -> None:
    rounds = play(poisson(SPIKE, 1200, run=2.0), 1200, lambda now: 40.0 if now < 500 else inf)

    assert any(decision.saturated for at, decision, _ in rounds if at < 500)
    assert rounds[-1][1].saturated is None
    assert max(ready for at, _, ready in rounds if at > 600) >= 8


def test_while_it_is_full_more_replicas_are_tried_for_a_while_and_the_next_time_later(
    full_downstream: list[tuple[float, Decision, int]],
) -> None:
    tried = [at for at, decision, _ in full_downstream if decision.memory.saturation.phase == "more"]

    assert 0 < len(tried) < 0.1 * len(full_downstream)
    assert full_downstream[-1][1].memory.saturation.pause >= 600


def runs(
    rate: Callable[[float], float], mean: Callable[[float], float], seconds: float, seed: int
) -> list[Job]:
    dice = random.Random(seed)
    return [
        Job(each.at, dice.expovariate(1 / mean(each.at)))
        for each in poisson(rate, seconds, 1.0, seed, most=40)
    ]


@pytest.mark.parametrize("most", [12, 60])
@pytest.mark.parametrize(
    ("rate", "mean"),
    [
        pytest.param(
            lambda _: 10.0, lambda at: 2 + 28 * min(1, at / 900), id="runs that become longer and longer"
        ),
        pytest.param(
            lambda _: 10.0, lambda at: 2 if at < 300 else 20, id="runs that are longer from one moment on"
        ),
        pytest.param(
            lambda at: min(20, 1 + at / 20), lambda _: 20.0, id="a ramp whose completions lag behind"
        ),
        pytest.param(steps((0, 3), (100, 30)), lambda _: 5.0, id="more load than all replicas can carry"),
    ],
)
def test_long_runs_and_a_high_load_are_no_full_downstream(
    most: int, rate: Callable[[float], float], mean: Callable[[float], float]
) -> None:
    rounds = play(runs(rate, mean, 600, seed=1), 600, policy=replace(POLICY, max_replicas=most))

    assert {decision.memory.saturation.phase for _, decision, _ in rounds} == {"watching"}


def test_while_answers_are_lost_nothing_is_taken_back() -> None:
    dice = random.Random(1)

    def lost(_: float, seen: Observation) -> Observation:
        came = tuple(each for each in seen.samples if dice.random() >= 0.2)
        return replace(seen, samples=came, failed=len(seen.samples) - len(came))

    rounds = play(poisson(SPIKE, 450, run=2.0), 450, lambda _: 40.0, faults=lost)

    decided = [decision.replicas for at, decision, _ in rounds if at > 130]
    assert decided == sorted(decided)
    assert all(decision.saturated is None for _, decision, _ in rounds)


def fed(
    state: Saturation, *periods: tuple[int, int, float], since: float = 1000.0, draining: bool = False
) -> Saturation:
    """The state after `periods`: for so many seconds so many replicas, with so many runs ended a second."""
    now = since
    for seconds, replicas, per_second in periods:
        for _ in range(seconds):
            now += 1
            slots = 8 * replicas
            takes = slots / per_second
            seen = Seen(now, 1.0, per_second, replicas, slots, True, True, draining, takes, takes)
            state = watched(state, seen, wants=100, fewest=1)
    return state


def test_twice_the_slots_with_the_same_runs_a_second_lead_to_a_trial_with_fewer() -> None:
    state = fed(NOT_SATURATED, (40, 10, 20.0), (60, 20, 20.0))

    assert (state.phase, state.cap, state.shown) == ("fewer", 10, None)


def test_a_trial_in_which_fewer_runs_end_gives_all_replicas_back_at_once() -> None:
    state = fed(NOT_SATURATED, (40, 10, 20.0), (60, 20, 20.0))

    state = fed(state, (60, 10, 10.0), since=1100.0)

    assert (state.phase, state.cap, state.shown) == ("watching", None, None)
    assert state.next_at > 1160.0


def test_what_ended_while_replicas_were_replaced_says_nothing() -> None:
    assert fed(NOT_SATURATED, (40, 10, 20.0), (60, 20, 20.0), draining=True).phase == "watching"


def test_slots_that_bring_as_much_as_before_lead_to_none() -> None:
    assert fed(NOT_SATURATED, (40, 10, 20.0), (60, 20, 36.0)).phase == "watching"


PERIODS = st.lists(
    st.tuples(st.integers(1, 90), st.integers(1, 60), st.floats(0.1, 200.0)), min_size=1, max_size=8
)


@settings(max_examples=60, deadline=None)
@given(PERIODS)
def test_whatever_was_seen_is_remembered_and_leaves_replicas(periods: list[tuple[int, int, float]]) -> None:
    state = fed(NOT_SATURATED, *periods)

    again = restored(json.loads(json.dumps(stored(state))), float)

    assert state.cap is None or state.cap >= 1
    assert (again.phase, again.cap, again.before, again.shown) == (
        state.phase,
        state.cap,
        state.before,
        state.shown,
    )
    assert len(json.dumps(stored(state))) < 1500


def test_a_new_operator_goes_on_with_what_was_found(
    full_downstream: list[tuple[float, Decision, int]],
) -> None:
    before = full_downstream[-1][1].memory

    after = Memory.from_json(before.to_json())

    assert before.saturation.cap is not None
    assert (after.saturation.cap, after.saturation.phase) == (
        before.saturation.cap,
        before.saturation.phase,
    )
    assert len(before.to_json()) < 8192
