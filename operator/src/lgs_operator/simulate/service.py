"""A small discrete-event simulation of a service, to see what a scaling law does with a load before it is
trusted.

Runs arrive, wait in one queue, and occupy a slot for their duration; replicas take time to start, and finish
what they have before they go. Nothing here is random or reads a clock: the same load gives the same record.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from itertools import chain
from math import inf
from typing import Generic

from lgs_operator.scaling.histogram import NOTHING
from lgs_operator.scaling.policy import Policy
from lgs_operator.scaling.samples import Observation, ReplicaSample, typical_startup
from lgs_operator.simulate.laws import Law, LawDecision, State
from lgs_operator.simulate.record import Job, Record, Round, Timeline
from lgs_operator.simulate.replica import Counters, Replica

Faults = Callable[[float, Observation], Observation | None]
NEVER = Job(inf, 0.0)


@dataclass(slots=True)
class Simulation(Generic[State]):
    """A service under a policy and a law. The law starts with `memory` and is asked every `tick` seconds; a
    replica is ready after `startup_seconds`.

    `startups` gives the start-up of the n-th replica instead. If more than `saturated_at` runs are executed
    when a run begins, what the replicas share downstream is full, and the run takes longer by the ratio of
    the two numbers. `explained` keeps each decision with its words; a day of them is hundreds of MB. `plain`
    leaves out histograms, for a law that reads none. `summed` gives the sum over the replicas as one answer,
    for a law that only uses sums; that answer must not be lost. Waits and latencies decide nothing without a
    `p95LatencySeconds`, so they are then counted only if decisions are kept.
    """

    policy: Policy
    law: Law[State]
    memory: State
    startup_seconds: float = 5.0
    tick: float = 1.0
    faults: Faults | None = None
    first: float | None = None
    """When the law is first asked, in seconds; None: after one tick."""
    epoch: float = 1_000_000.0
    startups: Callable[[int], float] | None = None
    saturated_at: float = inf
    explained: bool = True
    plain: bool = False
    split: bool = False
    """Whether separate replicas answer requests, so that there may be none that execute runs."""
    summed: bool = False
    _replicas: list[Replica] = field(default_factory=list)
    _working: list[Replica] = field(default_factory=list)
    _draining: list[Replica] = field(default_factory=list)
    _sum: Counters = field(default_factory=Counters)
    """What all replicas have counted, with `summed`. A draining replica counts separately from the last round
    on, since what it has not reported when it ends stays unknown."""
    _free: list[dict[Replica, None]] = field(default_factory=list)
    """The working replicas by how many of their slots are in use."""
    _starting: list[tuple[float, int, Replica]] = field(default_factory=list)
    _queue: deque[Job] = field(default_factory=deque)
    _ends: list[tuple[float, int, Replica, float, float]] = field(default_factory=list)
    _made: int = 0
    _turn: int = 0
    _running: int = 0
    _waits: array[float] = field(default_factory=lambda: array("d"))
    _spent: array[float] = field(default_factory=lambda: array("d"))
    _paid: float = 0.0
    _acknowledged: int = 0
    """Runs that the separate replicas have accepted, with `split`."""
    _timed: bool = True
    """Whether waits and latencies are counted."""

    def play(self, load: Iterable[Job], seconds: float) -> Record:
        """Plays `load` (ascending by time) for `seconds`."""
        arrivals = chain(load, (NEVER,))
        comes = next(arrivals)
        self._free = [{} for _ in range(self.policy.slots + 1)]
        self._timed = not self.plain and (self.explained or self.policy.p95_latency_seconds is not None)
        for _ in range(max(0 if self.split else 1, self.policy.min_replicas)):
            self._start(-self.startup_seconds, -self.startup_seconds)
        rounds: list[Round] = []
        timeline = Timeline()
        first = self.tick if self.first is None else self.first
        for step in range(int((seconds - first) / self.tick + 1e-9) + 1):
            now = first + step * self.tick
            comes = self._advance(comes, arrivals, now)
            decision = self._round(now)
            if self.explained:
                rounds.append(self._noted(now, decision))
            timeline.add(now, decision.replicas, len(self._working), len(self._queue))
        self._advance(comes, arrivals, seconds)
        paid = self._paid + sum(seconds - max(0.0, each.asked_at) for each in self._replicas)
        left = tuple(seconds - job.at for job in self._queue)
        return Record(tuple(rounds), timeline, self._waits, self._spent, left, paid)

    def _start(self, now: float, began: float | None = None) -> None:
        self._made += 1
        takes = (
            self.startup_seconds if self.startups is None or began is not None else self.startups(self._made)
        )
        counters = self._sum if self.summed else Counters()
        replica = Replica(f"r{self._made}", now, now + takes, counters)
        self._replicas.append(replica)
        heappush(self._starting, (replica.ready_at, self._made, replica))

    def _advance(self, comes: Job, arrivals: Iterator[Job], until: float) -> Job:
        """Plays all events up to `until` in order, and returns the first arrival after it."""
        ends, starting, queue = self._ends, self._starting, self._queue
        while True:
            end = ends[0][0] if ends else inf
            ready = starting[0][0] if starting else inf
            at = comes.at if ready > comes.at else ready
            at = at if end > at else end
            if at > until or at == inf:
                return comes
            if at == end:
                self._end()
            elif at == ready:
                self._ready()
            else:
                queue.append(comes)
                if self.split:
                    self._acknowledged += 1
                else:
                    self._working[self._turn % len(self._working)].counters.arrived += 1
                    self._turn += 1
                comes = next(arrivals)
            if queue:
                self._claim(at)

    def _ready(self) -> None:
        _, _, replica = heappop(self._starting)
        if not replica.gone:
            self._working.append(replica)
            self._free[0][replica] = None

    def _claim(self, now: float) -> None:
        """Gives each waiting run to the replica with the fewest runs, while there are free slots."""
        slots, queue, free = self.policy.slots, self._queue, self._free
        used = 0
        while queue:
            while used < slots and not free[used]:
                used += 1
            if used == slots:
                return
            replica, _ = free[used].popitem()
            free[used + 1][replica] = None
            job = queue.popleft()
            replica.in_use += 1
            self._running += 1
            wait = now - job.at
            takes = job.seconds
            if self._running > self.saturated_at:
                takes *= self._running / self.saturated_at
            self._waits.append(wait)
            self._spent.append(wait + takes)
            if self._timed:
                replica.counters.wait.add(wait)
            self._made += 1
            heappush(self._ends, (now + takes, self._made, replica, takes, wait))

    def _end(self) -> None:
        now, _, replica, takes, wait = heappop(self._ends)
        self._running -= 1
        if not replica.draining:
            del self._free[replica.in_use][replica]
            self._free[replica.in_use - 1][replica] = None
        replica.in_use -= 1
        if not self.plain:
            counters = replica.counters
            counters.finished += 1
            counters.execution.add(takes)
            if self._timed:
                counters.latency.add(wait + takes)
        if replica.draining and replica.in_use == 0:
            self._remove(replica, now)

    def _remove(self, replica: Replica, now: float) -> None:
        replica.gone = True
        self._replicas.remove(replica)
        if replica.draining:
            self._draining.remove(replica)
        self._paid += now - max(0.0, replica.asked_at)

    def _round(self, now: float) -> LawDecision[State]:
        """Observes, decides and acts like the operator."""
        seen: Observation | None = self._observe(now)
        if self.faults is not None and seen is not None:
            seen = self.faults(now, seen)
        decision = self.law(self.policy, seen, self.memory, self.epoch + now)
        self.memory = decision.memory
        self._scale(decision.replicas, now)
        return decision

    def _noted(self, now: float, decision: LawDecision[State]) -> Round:
        return Round(
            at=now,
            decision=decision,
            ready=len(self._working),
            starting=sum(1 for each in self._replicas if each.ready_at > now),
            waiting=len(self._queue),
            in_use=sum(each.in_use for each in self._working),
        )

    def _observe(self, now: float) -> Observation:
        there = len(self._working) + len(self._draining)
        starting = (
            [] if there == len(self._replicas) else [each for each in self._replicas if each.ready_at > now]
        )
        return Observation(
            at=self.epoch + now,
            samples=(*self._front(now), *(self._summed(now) if self.summed else self._apart(now))),
            ready=len(self._working),
            starting=len(starting),
            draining=len(self._draining),
            starting_for=tuple([now - each.asked_at for each in starting]),
            startup_seconds=self._typical_startup(now),
        )

    def _front(self, now: float) -> list[ReplicaSample]:
        """The sample of a replica that only answers requests, with `split`."""
        if not self.split:
            return []
        sample = ReplicaSample("front", self.epoch + now, slots=0, arrived=self._acknowledged)
        return [replace(sample, waiting=len(self._queue), oldest_seconds=self._oldest(now))]

    def _oldest(self, now: float) -> float:
        return now - self._queue[0].at if self._queue else 0.0

    def _apart(self, now: float) -> list[ReplicaSample]:
        """The answer of each replica."""
        slots = self.policy.slots
        return [
            self._sample(now, each.name, slots, each.in_use, each.counters, is_draining=each.draining)
            for each in self._replicas
            if each.ready_at <= now
        ]

    def _summed(self, now: float) -> list[ReplicaSample]:
        """One answer for all working replicas, and one for all draining ones."""
        for each in self._draining:
            self._sum.take(each.counters)
            each.counters = Counters()
        working, leaving = len(self._working), sum([each.in_use for each in self._draining])
        found = [self._sample(now, "all", self.policy.slots * working, self._running - leaving, self._sum)]
        if self._draining:
            slots = self.policy.slots * len(self._draining)
            found.append(self._sample(now, "draining", slots, leaving, Counters(), is_draining=True))
        return found if working else found[1:]

    def _typical_startup(self, now: float) -> float | None:
        """The typical start-up of the newest replicas in seconds, which the operator reads from the pods."""
        if self.startups is None:
            return self.startup_seconds
        answering = (each for each in self._replicas if each.ready_at <= now)
        newest = sorted(answering, key=lambda each: -each.ready_at)
        return typical_startup([each.ready_at - each.asked_at for each in newest])

    def _sample(
        self, now: float, name: str, slots: int, in_use: int, counters: Counters, *, is_draining: bool = False
    ) -> ReplicaSample:
        return ReplicaSample(
            replica=name,
            at=self.epoch + now,
            slots=slots,
            in_use=in_use,
            waiting=len(self._queue),
            oldest_seconds=self._oldest(now),
            arrived=counters.arrived,
            finished=counters.finished,
            wait=counters.wait.histogram() if self._timed else NOTHING,
            execution=NOTHING if self.plain else counters.execution.histogram(),
            latency=counters.latency.histogram() if self._timed else NOTHING,
            draining=is_draining,
        )

    def _scale(self, wanted: int, now: float) -> None:
        """Changes the replicas like a Deployment: new ones start, and those not ready yet go first."""
        if wanted == len(self._replicas) - len(self._draining):
            return
        present = [each for each in self._replicas if not each.draining]
        for _ in range(wanted - len(present)):
            self._start(now)
        spare = sorted(present, key=lambda each: (each.ready_at <= now, each.in_use))
        for replica in spare[: max(0, len(present) - max(0 if self.split else 1, wanted))]:
            if replica.ready_at <= now:
                replica.draining = True
                self._draining.append(replica)
                if self.summed:
                    replica.counters = Counters()
                self._working.remove(replica)
                del self._free[replica.in_use][replica]
            if replica.in_use == 0:
                self._remove(replica, now)
