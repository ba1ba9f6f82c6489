"""A small discrete-event simulation of a service, to see what a scaling law does with a load before it is
trusted.

Runs arrive, wait in one queue, and occupy a slot for their duration; replicas take time to start and finish
what they have when they go. Nothing here is random or reads a clock: the same load gives the same record.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import accumulate
from math import inf
from typing import Generic

from lgs_operator.scaling.histogram import Histogram
from lgs_operator.scaling.policy import Policy
from lgs_operator.scaling.samples import Observation, ReplicaSample
from lgs_operator.simulate.laws import Law, LawDecision, State

BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, inf)
Faults = Callable[[float, Observation], Observation | None]


@dataclass(frozen=True, slots=True)
class Job:
    """A run that arrives at `at` and occupies a slot for `seconds`."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Round:
    """One decision, and what the service was like then."""

    at: float
    decision: LawDecision[object]
    ready: int
    starting: int
    waiting: int
    in_use: int


@dataclass(frozen=True, slots=True)
class Record:
    """What came of it: the rounds, each run's wait in the order of claims, the waits so far of those still
    waiting, and the replica-seconds paid.
    """

    rounds: tuple[Round, ...]
    waits: tuple[float, ...]
    still_waiting: tuple[float, ...]
    replica_seconds: float

    def most_replicas(self) -> int:
        """The largest number decided."""
        return max(each.decision.replicas for each in self.rounds)

    def at(self, seconds: float) -> Round:
        """The round at `seconds` or the first after it."""
        return next(each for each in self.rounds if each.at >= seconds)


@dataclass(slots=True)
class _Counts:
    counts: list[float] = field(default_factory=lambda: [0.0] * len(BOUNDS))
    total: float = 0.0
    _told: Histogram | None = None

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds
        self._told = None

    def histogram(self) -> Histogram:
        if self._told is None:
            counts = tuple(accumulate(self.counts))
            self._told = Histogram(BOUNDS, counts, self.total, counts[-1])
        return self._told


@dataclass(slots=True)
class _Replica:
    name: str
    ready_at: float
    in_use: int = 0
    draining: bool = False
    arrived: float = 0
    finished: float = 0
    wait: _Counts = field(default_factory=_Counts)
    execution: _Counts = field(default_factory=_Counts)
    latency: _Counts = field(default_factory=_Counts)


@dataclass(slots=True)
class Simulation(Generic[State]):
    """A service under a policy and a law, which starts with `memory`; a replica is ready after
    `startup_seconds`, a round takes `tick` seconds. With more than `saturated_at` runs at a time a run takes
    so many times longer as there are too many when it begins: what all share behind the replicas is full.
    """

    policy: Policy
    law: Law[State]
    memory: State
    startup_seconds: float = 5.0
    tick: float = 1.0
    faults: Faults | None = None
    epoch: float = 1_000_000.0
    saturated_at: float = inf
    _replicas: list[_Replica] = field(default_factory=list)
    _queue: deque[Job] = field(default_factory=deque)
    _ends: list[tuple[float, int, _Replica, Job]] = field(default_factory=list)
    _made: int = 0
    _waits: list[float] = field(default_factory=list)
    _paid: float = 0.0

    def play(self, load: Iterable[Job], seconds: float) -> Record:
        """Play `load` (ascending by time) for `seconds`."""
        arrivals = deque(load)
        for _ in range(max(1, self.policy.min_replicas)):
            self._start(-self.startup_seconds)
        rounds: list[Round] = []
        steps = int(seconds / self.tick)
        for step in range(1, steps + 1):
            now = step * self.tick
            self._advance(arrivals, now)
            rounds.append(self._round(now))
            self._paid += len(self._replicas) * self.tick
        left = tuple(steps * self.tick - job.at for job in self._queue)
        return Record(tuple(rounds), tuple(self._waits), left, self._paid)

    def _start(self, now: float) -> None:
        self._made += 1
        self._replicas.append(_Replica(f"r{self._made}", now + self.startup_seconds))

    def _advance(self, arrivals: deque[Job], until: float) -> None:
        """All events up to `until`, in their order."""
        while True:
            ends = self._ends[0][0] if self._ends else inf
            comes = arrivals[0].at if arrivals else inf
            at = min(ends, comes)
            if at > until:
                self._claim(until)
                return
            if at == ends:
                self._end(at)
            else:
                self._queue.append(arrivals.popleft())
                min(self._working(at), key=lambda replica: replica.arrived).arrived += 1
            self._claim(at)

    def _working(self, now: float) -> list[_Replica]:
        return [each for each in self._replicas if each.ready_at <= now and not each.draining]

    def _claim(self, now: float) -> None:
        while self._queue:
            replica = min(self._working(now), key=lambda each: each.in_use)
            if replica.in_use >= self.policy.slots:
                return
            job = self._queue.popleft()
            replica.in_use += 1
            replica.wait.add(now - job.at)
            self._waits.append(now - job.at)
            self._made += 1
            slower = max(1.0, (len(self._ends) + 1) / self.saturated_at)
            ran = job if slower == 1.0 else Job(job.at, job.seconds * slower)
            heappush(self._ends, (now + ran.seconds, self._made, replica, ran))

    def _end(self, now: float) -> None:
        _, _, replica, job = heappop(self._ends)
        replica.in_use -= 1
        replica.finished += 1
        replica.execution.add(job.seconds)
        replica.latency.add(now - job.at)

    def _round(self, now: float) -> Round:
        """Observe, decide, act: as the operator does."""
        self._replicas = [each for each in self._replicas if not each.draining or each.in_use > 0]
        seen: Observation | None = self._observe(now)
        if self.faults is not None and seen is not None:
            seen = self.faults(now, seen)
        decision = self.law(self.policy, seen, self.memory, self.epoch + now)
        self.memory = decision.memory
        self._scale(decision.replicas, now)
        working = self._working(now)
        return Round(
            at=now,
            decision=decision,
            ready=len(working),
            starting=sum(1 for each in self._replicas if each.ready_at > now),
            waiting=len(self._queue),
            in_use=sum(each.in_use for each in working),
        )

    def _observe(self, now: float) -> Observation:
        answering = [each for each in self._replicas if each.ready_at <= now]
        oldest = now - self._queue[0].at if self._queue else 0.0
        return Observation(
            at=self.epoch + now,
            samples=tuple(self._sample(each, now, oldest) for each in answering),
            ready=sum(1 for each in answering if not each.draining),
            starting=sum(1 for each in self._replicas if each.ready_at > now),
            draining=sum(1 for each in self._replicas if each.draining),
            starting_for=tuple(
                now - each.ready_at + self.startup_seconds for each in self._replicas if each.ready_at > now
            ),
            startup_seconds=self.startup_seconds,
        )

    def _sample(self, replica: _Replica, now: float, oldest: float) -> ReplicaSample:
        return ReplicaSample(
            replica=replica.name,
            at=self.epoch + now,
            slots=self.policy.slots,
            in_use=replica.in_use,
            waiting=len(self._queue),
            oldest_seconds=oldest,
            arrived=replica.arrived,
            finished=replica.finished,
            wait=replica.wait.histogram(),
            execution=replica.execution.histogram(),
            latency=replica.latency.histogram(),
            draining=replica.draining,
        )

    def _scale(self, wanted: int, now: float) -> None:
        """As a Deployment does: new ones start, those that are not ready yet go first."""
        present = [each for each in self._replicas if not each.draining]
        for _ in range(wanted - len(present)):
            self._start(now)
        spare = sorted(present, key=lambda each: (each.ready_at <= now, each.in_use))
        for replica in spare[: max(0, len(present) - max(1, wanted))]:
            if replica.ready_at > now:
                self._replicas.remove(replica)
            else:
                replica.draining = True
