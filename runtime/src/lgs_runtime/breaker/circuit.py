"""One circuit: its state behind a lock, its clock, and what it has counted. Safe for threads and event loops:
the lock is held only while `state_machine` decides, never while a call is made.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, TypeVar
from uuid import uuid4

import structlog

from lgs_runtime.breaker import state_machine
from lgs_runtime.breaker.policy import Policy
from lgs_runtime.breaker.refusals import CircuitOpen
from lgs_runtime.breaker.state_machine import Permit, Phase, Refusal, Result, State
from lgs_runtime.breaker.window import Counts
from lgs_runtime.forking import copied

Listener = Callable[["Circuit", State, State], None]
"""Called at each change of phase, in the thread that made it; must not block."""
T = TypeVar("T")
log = structlog.get_logger(__name__)


PART_OF_PROBE: Final = Permit(generation=-1, probe=0, at=0.0)
"""The permit of a call inside a probe. No circuit has its generation, so that its end decides nothing."""
_probes_of: Final[ContextVar[frozenset[tuple[Circuit, int]]]] = ContextVar("probes", default=frozenset())
"""The probes that this code runs inside of, and perhaps earlier ones."""


class Circuit:
    """One circuit. `kind` tells circuits around graphs from those in the code."""

    def __init__(
        self, name: str, policy: Policy, *, kind: str = "code", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.kind = kind
        self.policy = policy
        self.clock = clock
        self.token = uuid4().hex
        """Tells it from circuits of its name in other processes, and from an earlier one in this process."""
        self.results: Counter[Result] = Counter()
        self.begun: Counter[Phase] = Counter()
        """How often each phase began."""
        self.refused = 0
        self.listeners: list[Listener] = []
        # Reentrant: the garbage collector may end an abandoned call at any line of this very thread.
        self._lock = threading.RLock()
        self._state = State(since=clock())
        copied(self)

    def begin_in_child(self) -> None:
        """Called in a forked process, which goes by its own calls only."""
        self._lock = threading.RLock()
        self.listeners.clear()

    @property
    def phase(self) -> Phase:
        """The phase, as last decided."""
        return self._state.phase

    @property
    def state(self) -> State:
        """The whole state, as last decided."""
        return self._state

    def acquire(self) -> Permit:
        """Lets a call through, whose end must be reported. Raises `CircuitOpen`."""
        if isinstance(answer := self._acquired(), Refusal):
            raise self._refusal(answer.retry_after_seconds)
        return answer

    def enter(self) -> Permit:
        """Like `acquire`, for the code of a call. Where `acquire` would refuse, a call inside a probe of this
        circuit is let through as a part of that probe, and its result decides nothing. Raises
        `CircuitOpen`."""
        answer = self._acquired()
        if isinstance(answer, Refusal):
            if any(circuit is self and self._is_under_way(number) for circuit, number in _probes_of.get()):
                return PART_OF_PROBE
            raise self._refusal(answer.retry_after_seconds)
        if answer.probe:
            there = {each for each in _probes_of.get() if each[0]._is_under_way(each[1])}
            _probes_of.set(frozenset({*there, (self, answer.probe)}))
        return answer

    def _is_under_way(self, number: int) -> bool:
        return any(probe.number == number for probe in self._state.probes)

    def check(self) -> None:
        """Raises `CircuitOpen` if `acquire` would refuse a call until the recovery time is over."""
        state = self._state
        left = state.since + self.policy.recovery_timeout - self.clock()
        if state.phase is Phase.OPEN and left > 0:
            raise self._refusal(left)

    def _refusal(self, retry_after_seconds: float) -> CircuitOpen:
        with self._lock:
            self.refused += 1
        return CircuitOpen(self.name, retry_after_seconds)

    def _acquired(self) -> Permit | Refusal:
        return self._decided(lambda state, now: state_machine.acquire(self.policy, state, now))

    def acquire_some(self, most: int) -> list[Permit]:
        """Lets through as many calls as may be made now, up to `most`. A refusal is not counted: nobody asked
        for a call."""
        permits: list[Permit] = []
        while len(permits) < most and isinstance(permit := self._acquired(), Permit):
            permits.append(permit)
        return permits

    def report(self, permit: Permit, result: Result) -> None:
        """Reports the end of a call that was let through."""
        with self._lock:
            self.results[result] += 1
        self._decided(
            lambda state, now: (state_machine.report(self.policy, state, permit, result, now), None)
        )

    def withdraw(self, permit: Permit) -> None:
        """Gives back the permit of a call that is not made: nothing is counted."""
        neither = Result.NEITHER
        self._decided(
            lambda state, now: (state_machine.report(self.policy, state, permit, neither, now), None)
        )

    def change(self, decide: Callable[[State, float], State]) -> State:
        """Applies a change that the replicas agreed on; returns the state after it."""

        def decided(before: State, now: float) -> tuple[State, State]:
            after = decide(before, now)
            return after, after

        return self._decided(decided)

    def _decided(self, decide: Callable[[State, float], tuple[State, T]]) -> T:
        """Applies a decision to the state; returns what was decided besides the next state."""
        with self._lock:
            while True:
                before = self._state
                after, answer = decide(before, self.clock())
                # A call that ended during the decision counts too: decide again.
                if self._state is before:
                    break
            self._state = after
        self._announce(before, after)
        return answer

    def _announce(self, before: State, after: State) -> None:
        if before.generation == after.generation:
            return
        self.begun[after.phase] += 1
        left = max(0.0, after.since + self.policy.recovery_timeout - self.clock())
        details = {"circuit": self.name, "kind": self.kind, **_details_of(after, self.policy, left)}
        event = f"circuit.{after.phase.name.lower()}"
        (log.warning if after.phase is Phase.OPEN else log.info)(event, before=before.phase.value, **details)
        for listener in self.listeners:
            listener(self, before, after)


def _details_of(state: State, policy: Policy, left: float) -> dict[str, Any]:
    """What to log about a change. `left`: seconds for which the circuit stays open."""
    if state.phase is not Phase.OPEN:
        return {"probes": policy.probes} if state.phase is Phase.HALF_OPEN else {}
    cause: Counts = state.cause
    thresholds = {"failure_threshold": policy.failure_threshold}
    if policy.slow_call_seconds is not None:
        thresholds["slow_call_threshold"] = policy.slow_call_threshold
    return {**cause._asdict(), **thresholds, "retry_after_seconds": round(left, 1)}
