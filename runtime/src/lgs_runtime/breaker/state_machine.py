"""The rules of a circuit breaker, as pure functions: they take a state, an event and the time, and return a
state.

Closed: calls are let through and counted in a sliding window; when enough of them failed, or were slow, the
circuit opens. Open: calls are refused until the recovery time is over. Half-open: as many calls as there are
probes are let through; when that many have ended, the circuit closes, or it opens again as soon as their
failures are certain to reach the threshold.

Each change of phase begins a new generation. A result counts in the generation in which its call began: a
call that began before the circuit opened neither closes nor opens it later. A probe that never comes back, or
is cancelled, gives its place to another one.
"""

from __future__ import annotations

from enum import Enum, StrEnum, auto
from typing import NamedTuple

from lgs_runtime.breaker.policy import Policy
from lgs_runtime.breaker.window import NONE, Counts, Window, number_at, recorded, total

PROBING_RETRY_SECONDS = 1.0
"""Seconds after which to try again a call that found all probes under way."""


class Phase(StrEnum):
    """What a circuit does with a call."""

    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"


class Result(Enum):
    """What the end of a call says about the thing that was called."""

    SUCCESS = auto()
    FAILURE = auto()
    NEITHER = auto()
    """It was cancelled, or failed because of its caller: it says nothing."""


class Permit(NamedTuple):
    """A call that was let through. `probe` is its number among the probes of a half-open circuit, else 0."""

    generation: int
    probe: int
    at: float


class Refusal(NamedTuple):
    """A call that was refused."""

    retry_after_seconds: float


class Probe(NamedTuple):
    """A call that a half-open circuit let through and that has not ended."""

    number: int
    at: float


class State(NamedTuple):
    """Everything that is known about a circuit. `since`: when its phase began."""

    phase: Phase = Phase.CLOSED
    since: float = 0.0
    generation: int = 0
    window: Window = ()
    probes: tuple[Probe, ...] = ()
    probed: Counts = NONE
    """The results of this generation's probes."""
    next_probe: int = 1
    cause: Counts = NONE
    """The calls that opened it."""
    ended: Counts = NONE
    """All calls of this generation whose end says something."""


def changed(state: State, phase: Phase, now: float, cause: Counts = NONE) -> State:
    """The first state of a new generation, in this phase."""
    return State(phase, now, state.generation + 1, next_probe=state.next_probe, cause=cause)


def acquire(policy: Policy, state: State, now: float) -> tuple[State, Permit | Refusal]:
    """Decides whether a call may be made now."""
    if state.phase is Phase.CLOSED:
        return state, Permit(state.generation, 0, now)
    if state.phase is Phase.OPEN:
        state = state if state.since <= now else state._replace(since=now)  # The clock went back.
        left = state.since + policy.recovery_timeout - now
        if left > 0:
            return state, Refusal(left)
        state = changed(state, Phase.HALF_OPEN, now, state.cause)
    return _probe(policy, state, now)


def free_probes(policy: Policy, state: State, now: float) -> int:
    """How many calls a half-open circuit would let through now."""
    return max(0, policy.probes - len(_under_way(policy, state, now)) - state.probed.calls)


def report(policy: Policy, state: State, permit: Permit, result: Result, now: float) -> State:
    """The state after the end of a call."""
    if permit.generation != state.generation:
        return state
    slow = policy.slow_call_seconds is not None and now - permit.at >= policy.slow_call_seconds
    failed = result is Result.FAILURE
    if state.phase is Phase.HALF_OPEN:
        rest = tuple(probe for probe in state.probes if probe.number != permit.probe)
        state = state._replace(probes=rest)
        if result is Result.NEITHER:
            return state
        state = state._replace(probed=state.probed.plus(failed=failed, slow=slow))
        return judged(policy, state, state.probed, now)
    if result is Result.NEITHER or state.phase is Phase.OPEN:
        return state
    number = number_at(now, policy.window_seconds)
    window = recorded(state.window, number, failed=failed, slow=slow)
    if failed or slow:
        counted = total(window, number)
        if too_bad(policy, counted):
            return changed(state, Phase.OPEN, now, counted)
    return state._replace(window=window, ended=state.ended.plus(failed=failed, slow=slow))


def too_bad(policy: Policy, counted: Counts) -> bool:
    """Whether these calls, of which some failed or were slow, open a circuit."""
    return counted.calls >= policy.minimum_calls and _bad(policy, counted, counted.calls)


def _bad(policy: Policy, counted: Counts, calls: int) -> bool:
    if counted.failures / calls >= policy.failure_threshold:
        return True
    return policy.slow_call_seconds is not None and counted.slow / calls >= policy.slow_call_threshold


def judged(policy: Policy, state: State, probed: Counts, now: float) -> State:
    """The state of a half-open circuit after these results of its probes."""
    if _bad(policy, probed, max(policy.probes, probed.calls)):
        return changed(state, Phase.OPEN, now, probed)
    if probed.calls >= policy.probes:
        return changed(state, Phase.CLOSED, now)
    return state


def _probe(policy: Policy, state: State, now: float) -> tuple[State, Permit | Refusal]:
    under_way = _under_way(policy, state, now)
    if free_probes(policy, state, now) == 0:
        return state._replace(probes=under_way), Refusal(PROBING_RETRY_SECONDS)
    probe = Probe(state.next_probe, now)
    state = state._replace(probes=(*under_way, probe), next_probe=probe.number + 1)
    return state, Permit(state.generation, probe.number, now)


def _under_way(policy: Policy, state: State, now: float) -> tuple[Probe, ...]:
    """The probes that may still come back. One that began later than now is from before the clock went back,
    and is dropped."""
    if not state.probes:
        return ()
    # They are in the order of their times: most often all may still come back, and none need be checked.
    first, last = state.probes[0].at, state.probes[-1].at
    if first <= last <= now < first + policy.recovery_timeout:
        return state.probes
    return tuple(probe for probe in state.probes if 0 <= now - probe.at < policy.recovery_timeout)
