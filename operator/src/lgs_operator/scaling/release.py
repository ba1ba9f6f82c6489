"""What is measured of a revision while it is not known how it does: how its runs end, and how long they take
beside those of others. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lgs_operator.scaling.durations import Durations, SideBySide, compared
from lgs_operator.scaling.outcomes import ReplicaCounts, RunCounts, counted, total
from lgs_operator.scaling.samples import ReplicaSample


@dataclass(frozen=True)
class Measured:
    """`replicas` are those that have run the revision."""

    revision: int
    step: int | None = None
    """Of its canary, whose runs are measured."""
    replicas: Mapping[str, ReplicaCounts] = field(default_factory=dict)
    beside: SideBySide = field(default_factory=SideBySide)

    @property
    def runs(self) -> Mapping[int, RunCounts]:
        """How those of the revision ended, by its number."""
        return {self.revision: total(self.replicas)}

    @property
    def durations(self) -> Mapping[int, Durations]:
        """How long they took, by its number."""
        return {self.revision: self.beside.durations}


def measured(
    known: Measured | None,
    revision: int,
    samples: Sequence[ReplicaSample],
    revisions: Mapping[str, int | None],
    step: int | None = None,
) -> Measured:
    """What is known after these samples; `revisions` are those of the replicas that execute runs. With a new
    `step` of a canary all counts from now on."""
    if known is None or known.revision != revision:
        known = Measured(revision, step)
    elif known.step != step:
        last = SideBySide(last=known.beside.last)
        known = Measured(revision, step, {name: each.anew() for name, each in known.replicas.items()}, last)
    own = frozenset(replica for replica, of in revisions.items() if of == revision)
    replicas = counted(known.replicas, samples, own)
    return Measured(revision, step, replicas, compared(known.beside, samples, own, revisions.keys() - own))
