"""How long the runs of a new revision take, compared with those of other revisions at the same time. Pure.

Only runs that end while replicas of both are up are compared, so that no revision is blamed for another
hour's load or for a model that is slow today. Times are known to within a histogram's buckets; when in doubt,
the new revision counts as not slower.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from math import exp, inf, lgamma

from lgs_operator.scaling.histogram import NOTHING, Histogram
from lgs_operator.scaling.samples import ReplicaSample

SHARE = 0.95
CHANCE = 0.001
"""The largest chance of a false alarm, for runs that take equally long: the test is repeated as more end."""

MOST_RUNS = 100_000
"""How many runs the chance is computed from at most; more would not make it surer."""


@dataclass(frozen=True, slots=True)
class Durations:
    """Execution times of runs that ended while replicas of both were up: `own` are those of the measured
    revision, `beside` those of the others."""

    own: Histogram = NOTHING
    beside: Histogram = NOTHING


@dataclass(frozen=True, slots=True)
class Pace:
    """The 95th percentiles of both, in seconds; `slower`: surely slower than allowed."""

    p95: float
    beside: float
    slower: bool = False


@dataclass(frozen=True, slots=True)
class SideBySide:
    """The durations so far; `last` is what the process of each replica has counted."""

    durations: Durations = Durations()
    last: Mapping[str, Histogram] = field(default_factory=dict)


def compared(
    known: SideBySide, samples: Iterable[ReplicaSample], own: Set[str], others: Set[str]
) -> SideBySide:
    """What is known after these samples. When a replica is first seen, one of the measured revision counts
    from its start, one of the others from now on."""
    now = {each.replica: each.execution for each in samples if each.replica in own | others}
    durations = known.durations
    if own & now.keys() and others & now.keys():
        durations = Durations(
            durations.own.plus(_ended(known.last, now, own, from_start=True)),
            durations.beside.plus(_ended(known.last, now, others, from_start=False)),
        )
    return SideBySide(durations, {**known.last, **now})


def _ended(
    last: Mapping[str, Histogram], now: Mapping[str, Histogram], replicas: Set[str], *, from_start: bool
) -> Histogram:
    """Execution times of the runs that ended at these replicas since the last samples."""
    ended = []
    for replica in replicas & now.keys():
        was = last.get(replica, NOTHING if from_start else now[replica])
        is_anew = now[replica].count < was.count
        ended.append(now[replica] if is_anew else now[replica].minus(was))
    return Histogram.together(ended)


def pace(durations: Durations, most_ratio: float | None, min_runs: int) -> Pace | None:
    """How the two compare; None before `min_runs` of each have ended. `most_ratio` is how many times as long
    the runs of the measured revision may take; None: any."""
    own, beside = durations.own, durations.beside
    p95, other = own.quantile(SHARE), beside.quantile(SHARE)
    if p95 is None or other is None or min(own.count, beside.count) < min_runs:
        return None
    return Pace(p95, other, most_ratio is not None and _is_slower(own, beside, most_ratio))


def _is_slower(own: Histogram, beside: Histogram, most_ratio: float) -> bool:
    """Whether the 95th percentile of `own` surely exceeds `most_ratio` times that of `beside`: more than a
    twentieth of its runs take longer, and by Fisher's exact test a larger share than of the others."""
    most = _bound_of(beside) * most_ratio
    limit = next((bound for bound in own.bounds if bound >= most), inf)
    if limit == inf:
        return False
    late = own.counts[-1] - own.counts[own.bounds.index(limit)]
    within = max(count for bound, count in zip(beside.bounds, beside.counts, strict=True) if bound <= limit)
    runs, others = own.counts[-1], beside.counts[-1]
    late_others = max(0.0, others - within)
    if late <= (1 - SHARE) * runs or late * others <= late_others * runs:
        return False
    scale = min(1.0, MOST_RUNS / (runs + others))
    return _chance(*(int(each * scale) for each in (late, runs, late_others, others))) < CHANCE


def _bound_of(histogram: Histogram) -> float:
    """The upper bound of the bucket that holds the 95th percentile, in seconds."""
    rank = SHARE * histogram.counts[-1]
    return next(
        bound for bound, count in zip(histogram.bounds, histogram.counts, strict=True) if count >= rank
    )


def _chance(late: int, runs: int, late_others: int, others: int) -> float:
    """Fisher's exact test, one-sided: the chance that at least `late` of all late runs are among `runs`, if
    lateness does not depend on the revision. `late` must be more than their share."""
    all_late, everyone = late + late_others, runs + others
    whole = _log_choices(everyone, all_late)
    chance = 0.0
    for among in range(late, min(all_late, runs) + 1):
        term = exp(_log_choices(runs, among) + _log_choices(others, all_late - among) - whole)
        chance += term
        if chance >= CHANCE or term <= chance * 1e-6:
            break
    return chance


def _log_choices(of: int, some: int) -> float:
    """The logarithm of the binomial coefficient, `of` choose `some`."""
    if some < 0 or some > of:
        return -inf
    return lgamma(of + 1) - lgamma(some + 1) - lgamma(of - some + 1)
