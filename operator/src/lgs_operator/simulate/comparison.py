"""Plays one load through several laws, and measures the outcome of each. Pure, except that many or long plays
are shared among processes.
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
"""How many runs take about as long to simulate as a second of rounds."""
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True)
class Outcome:
    """The result of a law on a load. `waits` are seconds from arrival to a slot, `latencies` seconds to the
    end; both ascend, and a run that still waits at the end counts in both with its wait so far.
    """

    law: str
    target: float | None
    """The number that its user set, if that is varied or is not the manifest's."""
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
        """The time from arrival to the end that `share` of the runs did not exceed."""
        return quantile(self.latencies, share)

    @property
    def replica_hours(self) -> float:
        """Hours that all replicas existed, from being asked for to being gone."""
        return self.replica_seconds / 3600

    @property
    def most(self) -> int:
        """The largest number of replicas decided."""
        return int(max(self.timeline.decided, default=0))

    @cached_property
    def changes(self) -> int:
        """How often the number of replicas was changed."""
        return sum(before != after for before, after in pairwise(self.timeline.decided))


def quantile(ascending: Sequence[float], share: float) -> float:
    """The smallest of the `ascending` values that `share` of them do not exceed; 0 without values."""
    return ascending[max(0, ceil(share * len(ascending)) - 1)] if ascending else 0.0


def play(candidate: Candidate, load: Load, conditions: Conditions) -> Outcome:
    """The outcome of `load` under `candidate`."""
    policy, faults = candidate.policy, conditions.scrapes()
    simulation = Simulation(
        policy,
        candidate.law,
        candidate.memory,
        startup_seconds=conditions.startup_seconds,
        tick=candidate.interval,
        # Half an interval, so that a load that changes at round times meets each law with average luck.
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
    """The outcomes of `load` under each of `candidates`, in their order, played in up to
    `processes` processes."""
    with Players(load, conditions, processes) as players:
        return players.play(candidates)


class Players:
    """Plays of one load, shared among processes where they are many or long; a context manager."""

    def __init__(self, load: Load, conditions: Conditions, processes: int) -> None:
        """Starts no process before the first plays that are worth it."""
        self._load = load
        self._conditions = conditions
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Players:
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def play(self, candidates: Sequence[Candidate]) -> list[Outcome]:
        """The outcome of each candidate, in order."""
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
        """The outcomes, with this process playing too: first the first candidate, which has the most rounds
        if it is our law, then from the end those that no other process has begun."""
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
"""The load and conditions of the plays in this process."""


def _packed(load: Load) -> tuple[Load, array[float], array[float]]:
    """A load in the form in which it is sent to a process: hundreds of thousands of runs as
    numbers, not objects."""
    times = array("d", (job.at for job in load.jobs))
    return replace(load, jobs=()), times, array("d", (job.seconds for job in load.jobs))


def _begin(load: Load, times: array[float], lengths: array[float], conditions: Conditions) -> None:
    _ABOUT.append((replace(load, jobs=tuple(map(Job, times, lengths))), conditions))
    # These objects stay: garbage collection need not visit them again.
    gc.freeze()


def _play(candidate: Candidate) -> Outcome:
    return play(candidate, *_ABOUT[-1])
