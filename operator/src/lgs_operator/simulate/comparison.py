"""Plays one load through several laws, and counts what came of each. Pure, but that many or long plays are
shared among processes.
"""

from __future__ import annotations

import gc
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import ceil
from multiprocessing import get_context

from lgs_operator.simulate.candidates import Candidate
from lgs_operator.simulate.conditions import Conditions
from lgs_operator.simulate.loads import Load
from lgs_operator.simulate.record import Job, Timeline
from lgs_operator.simulate.service import Simulation

WORTH_PROCESSES = 4 * 3600.0
"""Seconds of load, over all plays, from which processes are worth their start."""
RUNS_A_SECOND = 4.0
"""So many runs cost about as much as a second of rounds."""
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True)
class Outcome:
    """What a law made of a load. `waits` are seconds from arrival to a slot, `latencies` to the end; both
    ascending, and a run that still waits at the end counts in both with its wait so far.
    """

    law: str
    target: float | None
    """What its user set, where that is varied or not the manifest's."""
    waits: tuple[float, ...]
    latencies: tuple[float, ...]
    timeline: Timeline
    replica_seconds: float

    def late(self, seconds: float) -> float:
        """Share of the runs that waited longer than `seconds`."""
        return (len(self.waits) - bisect_right(self.waits, seconds)) / len(self.waits) if self.waits else 0.0

    def wait(self, share: float) -> float:
        """The wait that `share` of the runs did not exceed."""
        return quantile(self.waits, share)

    def latency(self, share: float) -> float:
        """The same of the time from arrival to the end."""
        return quantile(self.latencies, share)

    @property
    def replica_hours(self) -> float:
        """Hours that replicas existed, from being asked for to being gone."""
        return self.replica_seconds / 3600

    @property
    def most(self) -> int:
        """The largest number decided."""
        return int(max(self.timeline.decided, default=0))

    @cached_property
    def changes(self) -> int:
        """How often the number of replicas was changed."""
        return sum(before != after for before, after in pairwise(self.timeline.decided))


def quantile(ascending: Sequence[float], share: float) -> float:
    """The least of `ascending` that `share` of them do not exceed; 0 of none."""
    return ascending[max(0, ceil(share * len(ascending)) - 1)] if ascending else 0.0


def play(candidate: Candidate, load: Load, conditions: Conditions) -> Outcome:
    """`load` under `candidate`."""
    policy, faults = candidate.policy, conditions.scrapes()
    simulation = Simulation(
        policy,
        candidate.law,
        candidate.memory,
        startup_seconds=conditions.startup_seconds,
        tick=candidate.interval,
        # Whatever happens at a round time meets each law with average luck.
        first=candidate.interval / 2,
        faults=faults,
        epoch=load.starts_at,
        startups=conditions.startups(),
        saturated_at=conditions.saturated_at(policy.slots * policy.max_replicas),
        explained=False,
        plain=candidate.plain,
        summed=candidate.summed and faults is None,
    )
    record = simulation.play(load.jobs, load.seconds)
    return Outcome(
        candidate.name,
        candidate.target,
        tuple(sorted((*record.waits, *record.still_waiting))),
        tuple(sorted((*record.latencies, *record.still_waiting))),
        record.timeline,
        record.replica_seconds,
    )


def compare(
    candidates: Sequence[Candidate], load: Load, conditions: Conditions, processes: int = 1
) -> list[Outcome]:
    """`load` under each of `candidates`, in their order, in up to `processes` processes."""
    with Players(load, conditions, processes) as players:
        return players.play(candidates)


class Players:
    """Plays of one load, shared among processes where they are many or long; a context manager."""

    def __init__(self, load: Load, conditions: Conditions, processes: int) -> None:
        """Nothing is started before the first plays that are worth it."""
        self._load = load
        self._conditions = conditions
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Players:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def play(self, candidates: Sequence[Candidate]) -> list[Outcome]:
        """The outcome of each."""
        work = len(candidates) * (self._load.seconds + len(self._load.jobs) / RUNS_A_SECOND)
        if self._processes < 2 or len(candidates) < 2 or work < WORTH_PROCESSES:
            return [self._own(each) for each in candidates]
        if self._pool is None:
            # A fork of a process with threads may hang.
            self._pool = ProcessPoolExecutor(
                self._processes - 1,
                mp_context=get_context("spawn"),
                initializer=_begin,
                initargs=(*_packed(self._load), self._conditions),
            )
        return self._shared(self._pool, candidates)

    def _shared(self, pool: ProcessPoolExecutor, candidates: Sequence[Candidate]) -> list[Outcome]:
        """This process plays, too: the first at once, which has the most rounds where it is our law, then
        from the end on what no other has begun."""
        others = [(each, pool.submit(_play, each)) for each in candidates[1:]]
        first = self._own(candidates[0])
        mine = {
            at: self._own(each)
            for at, (each, is_to_come) in reversed(list(enumerate(others)))
            if is_to_come.cancel()
        }
        return [
            first,
            *(mine[at] if at in mine else theirs.result() for at, (_, theirs) in enumerate(others)),
        ]

    def _own(self, candidate: Candidate) -> Outcome:
        return play(candidate, self._load, self._conditions)


_ABOUT: list[tuple[Load, Conditions]] = []
"""What the plays of a process are about."""


def _packed(load: Load) -> tuple[Load, array[float], array[float]]:
    """A load on its way to a process: hundreds of thousands of runs as numbers, not as objects."""
    times = array("d", (job.at for job in load.jobs))
    return replace(load, jobs=()), times, array("d", (job.seconds for job in load.jobs))


def _begin(load: Load, times: array[float], lengths: array[float], conditions: Conditions) -> None:
    _ABOUT.append((replace(load, jobs=tuple(map(Job, times, lengths))), conditions))
    # They stay: no garbage collection need go through them again.
    gc.freeze()


def _play(candidate: Candidate) -> Outcome:
    return play(candidate, *_ABOUT[-1])
