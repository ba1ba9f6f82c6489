"""How the runs of one revision ended, from the samples of its replicas. Pure.

Counters belong to one process: what a replica counted before it restarted or was replaced stays counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lgs_operator.scaling.samples import ReplicaSample


@dataclass(frozen=True, slots=True)
class RunCounts:
    """The number of runs that ended, and how many of them ended in error or by timeout."""

    ended: int = 0
    failed: int = 0

    def __add__(self, other: RunCounts) -> RunCounts:
        return RunCounts(self.ended + other.ended, self.failed + other.failed)


@dataclass(frozen=True, slots=True)
class ReplicaCounts:
    """The counts of one replica: `last` of its present process, `before` of earlier ones."""

    last: RunCounts
    before: RunCounts = RunCounts()

    def anew(self) -> ReplicaCounts:
        """The counts of runs that end from now on."""
        return ReplicaCounts(self.last, RunCounts(-self.last.ended, -self.last.failed))


def counted(
    known: Mapping[str, ReplicaCounts], samples: Iterable[ReplicaSample], replicas: frozenset[str]
) -> dict[str, ReplicaCounts]:
    """What is known after these samples; only `replicas` count."""
    now = dict(known)
    for sample in samples:
        if sample.replica not in replicas:
            continue
        counts, was = RunCounts(int(sample.finished), int(sample.failed)), known.get(sample.replica)
        before = was.before if was is not None else RunCounts()
        if was is not None and counts.ended < was.last.ended:
            before += was.last
        now[sample.replica] = ReplicaCounts(counts, before)
    return now


def total(known: Mapping[str, ReplicaCounts]) -> RunCounts:
    """The counts of all replicas together."""
    return sum((each.before + each.last for each in known.values()), RunCounts())
