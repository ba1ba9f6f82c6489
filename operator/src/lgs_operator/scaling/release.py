"""What is measured of a revision until it is verified: how its runs end, and how long they take compared with
those of others. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lgs_operator.scaling.durations import Durations, SideBySide, compared
from lgs_operator.scaling.outcomes import ReplicaCounts, RunCounts, counted, total
from lgs_operator.scaling.samples import ReplicaSample


@dataclass(frozen=True)
class Measured:
    """What is known of a revision; `replicas` are the counts of those that have run it."""

    revision: int
    step: int | None = None
    """The step of its canary in which runs are counted; None: it is no canary."""
    replicas: Mapping[str, ReplicaCounts] = field(default_factory=dict)
    beside: SideBySide = field(default_factory=SideBySide)

    @property
    def runs(self) -> Mapping[int, RunCounts]:
        """How the runs of the revision ended, by its number."""
        return {self.revision: total(self.replicas)}

    @property
    def durations(self) -> Mapping[int, Durations]:
        """How long the runs took, by its number."""
        return {self.revision: self.beside.durations}


def measured(
    known: Measured | None,
    revision: int,
    samples: Sequence[ReplicaSample],
    revisions: Mapping[str, int | None],
    step: int | None = None,
) -> Measured:
    """What is known after these samples; `revisions` has the revision of each replica that executes runs. A
    new `step` of a canary starts all counts afresh."""
    if known is None or known.revision != revision:
        known = Measured(revision, step)
    elif known.step != step:
        last = SideBySide(last=known.beside.last)
        known = Measured(revision, step, {name: each.anew() for name, each in known.replicas.items()}, last)
    own = frozenset(replica for replica, of in revisions.items() if of == revision)
    replicas = counted(known.replicas, samples, own)
    return Measured(revision, step, replicas, compared(known.beside, samples, own, revisions.keys() - own))
