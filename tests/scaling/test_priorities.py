"""Waits that differ by priority, as stories on a simulated clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import accumulate
from math import inf

import pytest

from lgs_operator.scaling import Histogram, Memory, Observation, Policy, ReplicaSample, decide
from lgs_operator.scaling.exposition import parse
from lgs_operator.scaling.priorities import Priority, slots_by_priority
from lgs_operator.scaling.staffing import slots_for

POLICY = Policy(min_replicas=1, max_replicas=60, slots=8, hold_seconds=20, p95_latency_seconds=None)
PATIENT = replace(POLICY, waits=(None, None, 600.0))
RUN = 2
STARTUP = 10
EPOCH = 1_000_000.0


@dataclass
class Service:
    """Runs of 2 s, those of a higher priority first; what is asked for is ready ten seconds later."""

    policy: Policy
    memory: Memory = field(default_factory=Memory)
    now: int = 0
    waiting: tuple[deque[int], ...] = field(default_factory=lambda: (deque(), deque(), deque()))
    ends: list[int] = field(default_factory=list)
    arrived: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    ended: int = 0
    ready: int = 1
    asked: deque[tuple[int, int]] = field(default_factory=deque)
    wanted: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    waited: tuple[list[int], ...] = field(default_factory=lambda: ([], [], []))

    def second(self, arrivals: tuple[int, int, int]) -> None:
        self.now += 1
        while self.asked and self.asked[0][0] <= self.now:
            self.ready = self.asked.popleft()[1]
        self.ended += sum(end <= self.now for end in self.ends)
        self.ends = [end for end in self.ends if end > self.now]
        for level, count in enumerate(arrivals):
            self.arrived[level] += count
            self.waiting[level].extend([self.now] * count)
        for level, queue in enumerate(self.waiting):
            while queue and len(self.ends) < 8 * self.ready:
                self.waited[level].append(self.now - queue.popleft())
                self.ends.append(self.now + RUN)
        decision = decide(self.policy, self._observation(), self.memory, EPOCH + self.now)
        self.memory = decision.memory
        if decision.replicas < self.ready:
            self.ready = decision.replicas
            self.asked.clear()
        elif not self.asked or self.asked[-1][1] != decision.replicas:
            self.asked.append((self.now + STARTUP, decision.replicas))
        self.wanted.append(decision.replicas)
        self.reasons.append(decision.reason)

    def _observation(self) -> Observation:
        counts = tuple(float(len(queue)) for queue in self.waiting)
        oldest = tuple(float(self.now - queue[0]) if queue else 0.0 for queue in self.waiting)
        sample = ReplicaSample(
            "all",
            at=EPOCH + self.now,
            slots=8 * self.ready,
            in_use=len(self.ends),
            waiting=int(sum(counts)),
            oldest_seconds=max(oldest),
            arrived=sum(self.arrived),
            finished=self.ended,
            execution=Histogram((RUN, inf), (self.ended, self.ended), float(RUN * self.ended), self.ended),
            waiting_by=counts,  # type: ignore[arg-type]
            oldest_by=oldest,  # type: ignore[arg-type]
            arrived_by=tuple(self.arrived),  # type: ignore[arg-type]
        )
        starting = max(0, self.asked[-1][1] - self.ready) if self.asked else 0
        return Observation(EPOCH + self.now, (sample,), self.ready, starting, startup_seconds=float(STARTUP))


def play(policy: Policy, arrivals: Callable[[int], tuple[int, int, int]], seconds: int) -> Service:
    service = Service(policy)
    for second in range(1, seconds + 1):
        service.second(arrivals(second))
    return service


def batch_of_low(second: int) -> tuple[int, int, int]:
    """One normal run a second, and 2000 low ones at once after a minute."""
    return 0, 1, 2000 if second == 60 else 0


def test_a_deep_queue_of_low_runs_is_served_within_its_own_time_by_few_replicas() -> None:
    hasty, patient = play(POLICY, batch_of_low, 700), play(PATIENT, batch_of_low, 700)

    assert len(patient.waited[2]) == 2000
    assert max(patient.waited[2]) <= 600
    assert max(patient.wanted) <= max(hasty.wanted) / 4
    assert max(patient.waited[1][80:]) <= 2


def test_a_reason_says_that_the_waits_of_priorities_ask_for_more_slots_than_are_in_use() -> None:
    strict = replace(POLICY, waits=(0.05, None, None))

    reasons = play(strict, lambda _: (6, 0, 0), 60).reasons

    said = "so that hardly a run waits for too long (queueWaitSeconds by priority)"
    assert any(said in reason for reason in reasons)


def test_other_runs_are_followed_as_fast_while_low_ones_wait() -> None:
    def spike(second: int) -> tuple[int, int, int]:
        return 0, 40 if second >= 120 else 1, 2000 if second == 60 else 0

    patient = play(PATIENT, spike, 240)

    assert patient.wanted[122] >= 40 * RUN / 8
    assert max(patient.waited[1][-400:]) <= 2


def test_a_wait_that_low_runs_are_about_to_miss_brings_replicas() -> None:
    def ever_more(second: int) -> tuple[int, int, int]:
        return 0, 1, 30 if second > 60 else 0

    patient = play(replace(POLICY, waits=(None, None, 120.0)), ever_more, 700)

    assert max(patient.waited[2][-3000:]) <= 120
    assert patient.wanted[-1] >= 30 * RUN / 8


def test_high_runs_with_a_shorter_wait_get_more_room_the_more_of_them_there_are() -> None:
    def slots(high: float) -> float:
        levels = (Priority(high, 0, 0.0, 0.05, True), Priority(100 - high, 0, 0.0, 5.0, False))
        return slots_by_priority(levels, 100.0, 2.0, 1.0)

    assert slots(0) < slots(90) < slots(100)
    assert slots(100) == pytest.approx(slots_for(100.0, 2.0, 0.05, 1.0))
    assert slots(0) == pytest.approx(slots_for(100.0, 2.0, 5.0, 1.0))


@pytest.mark.parametrize("waits", [(None, None, None), (None, None, 600.0)])
def test_replicas_that_do_not_tell_their_priorities_are_scaled_as_before(
    waits: tuple[float | None, float | None, float | None],
) -> None:
    memory, plain = Memory(), Memory()
    for second, arrived in enumerate(accumulate([5.0] * 60)):
        sample = ReplicaSample("a", at=EPOCH + second, slots=8, in_use=8, waiting=20, arrived=arrived)
        seen = Observation(EPOCH + second, (sample,), ready=1)
        ours, before = (
            decide(replace(POLICY, waits=waits), seen, memory, EPOCH + second),
            decide(POLICY, seen, plain, EPOCH + second),
        )
        memory, plain = ours.memory, before.memory
        assert ours.replicas == before.replicas


def test_the_priorities_are_read_from_the_page_of_metrics_and_survive_the_operator() -> None:
    page = (
        "lgs_slots 8\n"
        'lgs_queue_depth{priority="high"} 1\nlgs_queue_depth{priority="normal"} 2\n'
        'lgs_queue_depth{priority="low"} 3\nlgs_queue_oldest_seconds{priority="low"} 9.5\n'
        'lgs_runs_arrived_total{priority="normal"} 4\n'
    )
    found = parse(page, "a", 0.0)

    assert (found.waiting_by, found.oldest_by, found.arrived_by) == ((1, 2, 3), (0, 0, 9.5), (0, 4, 0))
    rates = Memory(rates_by=(0.5, 1.0, 2.0))
    assert Memory.from_json(rates.to_json()).rates_by == (0.5, 1.0, 2.0)
