"""The law of a circuit, on a simulated clock: against a model that keeps every call, and story by story."""

from __future__ import annotations

import math
from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lgs_runtime.breaker.policy import Policy
from lgs_runtime.breaker.state_machine import Permit, Phase, Refusal, Result, State, acquire, report
from lgs_runtime.breaker.window import BUCKETS

POLICY = Policy(
    failure_threshold=0.5,
    minimum_calls=4,
    window_seconds=10.0,
    recovery_timeout=5.0,
    probes=2,
    slow_call_seconds=3.0,
    slow_call_threshold=0.75,
)


class CircuitOverTime(RuleBasedStateMachine):
    """Calls come, take their time, end somehow or never; the clock goes on. What is known of them all says
    what the circuit may do."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.state = State()
        self.under_way: list[Permit] = []
        self.ended: deque[tuple[float, bool, bool]] = deque()
        self.probes_since_half_open = 0

    def go(self, state: State) -> None:
        if state.generation != self.state.generation:
            self.ended.clear()
            self.probes_since_half_open = 0
        self.state = state

    @rule()
    def call_comes(self) -> None:
        before = self.state
        after, answer = acquire(POLICY, before, self.now)
        self.go(after)
        if isinstance(answer, Refusal):
            assert before.phase is not Phase.CLOSED
            assert 0 < answer.retry_after_seconds <= POLICY.recovery_timeout
        else:
            if before.phase is Phase.OPEN:
                assert self.now - before.since >= POLICY.recovery_timeout
                assert after.phase is Phase.HALF_OPEN
            self.under_way.append(answer)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 1000), result=st.sampled_from(Result))
    def call_ends(self, which: int, result: Result) -> None:
        permit = self.under_way.pop(which % len(self.under_way))
        before = self.state
        after = report(POLICY, before, permit, result, self.now)

        if permit.generation != before.generation or result is Result.NEITHER:
            assert (after.phase, after.window, after.probed) == (before.phase, before.window, before.probed)
            self.go(after)
            return
        slow = self.now - permit.at >= (POLICY.slow_call_seconds or math.inf)
        self.ended.append((self.now, result is Result.FAILURE, slow))
        expected = self.phase_by_the_book(before.phase)
        assert after.phase is expected
        self.go(after)

    def phase_by_the_book(self, before: Phase) -> Phase:
        """What all of the calls that ended in this generation say."""
        if before is Phase.HALF_OPEN:
            calls, failures, slow = len(self.ended), *self.bad(self.ended)
            of = max(calls, POLICY.probes)
            if failures / of >= POLICY.failure_threshold or slow / of >= POLICY.slow_call_threshold:
                return Phase.OPEN
            return Phase.CLOSED if calls >= POLICY.probes else Phase.HALF_OPEN
        first = (
            (self.now // (POLICY.window_seconds / BUCKETS) - BUCKETS + 1) * POLICY.window_seconds / BUCKETS
        )
        window = [one for one in self.ended if one[0] >= first]
        failures, slow = self.bad(window)
        worse = window[-1][1] or window[-1][2]
        enough = len(window) >= POLICY.minimum_calls
        bad = enough and (
            failures / len(window) >= POLICY.failure_threshold
            or slow / len(window) >= POLICY.slow_call_threshold
        )
        return Phase.OPEN if bad and worse else Phase.CLOSED

    @staticmethod
    def bad(calls: deque[tuple[float, bool, bool]] | list[tuple[float, bool, bool]]) -> tuple[int, int]:
        return sum(failed for _, failed, _ in calls), sum(slow for _, _, slow in calls)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 1000))
    def call_is_never_heard_of_again(self, which: int) -> None:
        self.under_way.pop(which % len(self.under_way))

    @rule(tenths=st.integers(1, 80))
    def time_goes_by(self, tenths: int) -> None:
        # Quarters are exact in binary: the model and the window cut time at the same places.
        self.now += tenths * 0.25

    @invariant()
    def the_memory_is_bounded(self) -> None:
        assert len(self.state.window) <= BUCKETS
        assert len(self.state.probes) <= POLICY.probes

    @invariant()
    def it_is_never_stuck(self) -> None:
        """However it got here: after two recovery times without news, a call is let through, and as many good
        answers as there are probes close it."""
        later = self.now + 2 * POLICY.recovery_timeout
        state = self.state
        for _ in range(POLICY.probes + 1):
            state, answer = acquire(POLICY, state, later)
            assert isinstance(answer, Permit)
            state = report(POLICY, state, answer, Result.SUCCESS, later)
        assert state.phase is Phase.CLOSED or state.probed.failures or state.probed.slow


CircuitOverTime.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestCircuitOverTime = CircuitOverTime.TestCase


def opened(policy: Policy = POLICY, at: float = 0.0) -> State:
    """A circuit that has just opened."""
    state = State(since=at)
    for _ in range(policy.minimum_calls):
        state, permit = acquire(policy, state, at)
        assert isinstance(permit, Permit)
        state = report(policy, state, permit, Result.FAILURE, at)
    assert state.phase is Phase.OPEN
    return state


def half_open(policy: Policy = POLICY, at: float = 5.0) -> tuple[State, Permit]:
    state, probe = acquire(policy, opened(policy), at)
    assert isinstance(probe, Permit)
    return state, probe


def test_few_calls_decide_nothing() -> None:
    state = State()
    for _ in range(POLICY.minimum_calls - 1):
        state, permit = acquire(POLICY, state, 0.0)
        assert isinstance(permit, Permit)
        state = report(POLICY, state, permit, Result.FAILURE, 0.0)

    assert state.phase is Phase.CLOSED


def test_a_rate_at_the_threshold_opens_whatever_its_binary_digits() -> None:
    policy = Policy(failure_threshold=0.1, minimum_calls=30)
    state = State()
    for number in range(30):
        state, permit = acquire(policy, state, 0.0)
        assert isinstance(permit, Permit)
        result = Result.FAILURE if number >= 27 else Result.SUCCESS
        state = report(policy, state, permit, result, 0.0)

    assert state.phase is Phase.OPEN


def test_what_failed_before_the_window_is_forgotten() -> None:
    state = State()
    for at, result in [(0.0, Result.FAILURE)] * 3 + [(11.0, Result.SUCCESS)] * 3 + [(12.0, Result.FAILURE)]:
        state, permit = acquire(POLICY, state, at)
        assert isinstance(permit, Permit)
        state = report(POLICY, state, permit, result, at)

    assert state.phase is Phase.CLOSED


def test_a_stampede_at_half_open_lets_only_the_probes_through() -> None:
    state = opened()

    answers = []
    for _ in range(100):
        state, answer = acquire(POLICY, state, 5.0)
        answers.append(answer)

    assert sum(isinstance(answer, Permit) for answer in answers) == POLICY.probes


@pytest.mark.parametrize("result", [Result.NEITHER, None])
def test_a_probe_that_says_nothing_or_never_returns_gives_its_place_away(result: Result | None) -> None:
    state = opened()
    for _ in range(POLICY.probes):
        state, probe = acquire(POLICY, state, 5.0)
        assert isinstance(probe, Permit)
        if result is not None:
            state = report(POLICY, state, probe, result, 5.0)

    later = 5.0 if result is not None else 5.0 + POLICY.recovery_timeout
    state, answer = acquire(POLICY, state, later)

    assert state.phase is Phase.HALF_OPEN
    assert isinstance(answer, Permit)


def test_a_success_that_began_before_it_opened_does_not_close_it() -> None:
    state, old = acquire(POLICY, State(), 0.0)
    assert isinstance(old, Permit)
    for _ in range(POLICY.minimum_calls):
        state, permit = acquire(POLICY, state, 0.0)
        assert isinstance(permit, Permit)
        state = report(POLICY, state, permit, Result.FAILURE, 0.0)

    assert report(POLICY, state, old, Result.SUCCESS, 1.0) == state
    probing, _ = acquire(POLICY, state, 5.0)
    assert report(POLICY, probing, old, Result.SUCCESS, 5.0) == probing
    assert report(POLICY, probing, old, Result.FAILURE, 5.0) == probing


def test_failures_that_come_in_while_it_is_open_do_not_keep_it_open_longer() -> None:
    state, old = acquire(POLICY, State(), 0.0)
    assert isinstance(old, Permit)
    state = opened()

    late = report(POLICY, state, old, Result.FAILURE, 4.9)

    assert isinstance(acquire(POLICY, late, 5.0)[1], Permit)


def test_one_flaky_probe_does_not_open_it_again_below_the_threshold() -> None:
    policy = Policy(failure_threshold=0.5, minimum_calls=4, recovery_timeout=5.0, probes=3)
    state, first = half_open(policy)
    state = report(policy, state, first, Result.FAILURE, 5.0)
    for _ in range(2):
        state, probe = acquire(policy, state, 5.0)
        assert isinstance(probe, Permit)
        state = report(policy, state, probe, Result.SUCCESS, 5.0)

    assert state.phase is Phase.CLOSED


def test_probes_that_must_fail_the_circuit_do_not_wait_for_the_others() -> None:
    state, first = half_open()

    state = report(POLICY, state, first, Result.FAILURE, 5.5)

    assert state.phase is Phase.OPEN
    assert acquire(POLICY, state, 6.0)[1] == Refusal(pytest.approx(4.5))


def test_a_circuit_that_flaps_rests_for_the_whole_recovery_time_each_time() -> None:
    state, now = opened(), 0.0
    for _ in range(5):
        now += POLICY.recovery_timeout
        assert isinstance(acquire(POLICY, state, now - 0.01)[1], Refusal)
        state, probe = acquire(POLICY, state, now)
        assert isinstance(probe, Permit)
        state = report(POLICY, state, probe, Result.FAILURE, now)
        assert (state.phase, state.since) == (Phase.OPEN, now)


def test_it_closes_with_an_empty_window() -> None:
    state, probe = half_open()
    state = report(POLICY, state, probe, Result.SUCCESS, 5.0)
    state, probe_2 = acquire(POLICY, state, 5.0)
    assert isinstance(probe_2, Permit)
    state = report(POLICY, state, probe_2, Result.SUCCESS, 5.0)

    assert (state.phase, state.window) == (Phase.CLOSED, ())


def test_slow_answers_open_it_though_none_failed() -> None:
    state = State()
    for _ in range(POLICY.minimum_calls):
        state, permit = acquire(POLICY, state, 0.0)
        assert isinstance(permit, Permit)
        state = report(POLICY, state, permit, Result.SUCCESS, 3.0)

    assert state.phase is Phase.OPEN


def test_a_clock_that_goes_back_keeps_it_open_no_longer_than_the_recovery_time() -> None:
    state = opened(at=1000.0)

    state, refused = acquire(POLICY, state, 10.0)
    assert refused == Refusal(POLICY.recovery_timeout)
    _, answer = acquire(POLICY, state, 10.0 + POLICY.recovery_timeout)

    assert isinstance(answer, Permit)


def test_a_clock_that_jumps_ahead_opens_nothing_and_forgets_the_window() -> None:
    state = State()
    for _ in range(3):
        state, permit = acquire(POLICY, state, 0.0)
        assert isinstance(permit, Permit)
        state = report(POLICY, state, permit, Result.FAILURE, 0.0)
    state, permit = acquire(POLICY, state, 1e9)
    assert isinstance(permit, Permit)

    state = report(POLICY, state, permit, Result.FAILURE, 1e9)

    assert state.phase is Phase.CLOSED
    assert len(state.window) == 1


@pytest.mark.parametrize("seconds", [5e-324, 1e-310, 1e-9])
def test_a_window_that_is_shorter_than_any_call_fails_none(seconds: float) -> None:
    policy = Policy(window_seconds=seconds, minimum_calls=1)
    state, permit = acquire(policy, State(), 1e6)
    assert isinstance(permit, Permit)

    assert report(policy, state, permit, Result.FAILURE, 1e6).phase is Phase.OPEN
