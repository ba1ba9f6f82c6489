"""What the replicas report about themselves, and what changed between two rounds of asking.

Counters belong to one process: `merge` turns them into changes, so that no load is added or lost when a
replica restarts, comes, goes or misses a round. Pure. Times are seconds since the epoch, durations seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from statistics import median_low

from lgs_operator.scaling.histogram import NOTHING, Histogram
from lgs_operator.scaling.values import value

KEEP_GONE_SECONDS = 120.0
PRIORITIES = ("high", "normal", "low")
ByPriority = tuple[float, float, float]
"""A number for each of `PRIORITIES`."""
NONE_BY_PRIORITY: ByPriority = (0.0, 0.0, 0.0)


@value(frozen=True, slots=True)
class ReplicaSample:
    """One answer of one replica. Counters are its own; `waiting`, `oldest_seconds` and `blocked` are those of
    the service, and None if the replica does not report them because its database is silent: that does not
    mean an empty queue.
    """

    replica: str
    at: float
    slots: int
    in_use: int = 0
    waiting: int | None = 0
    oldest_seconds: float | None = 0.0
    blocked: int | None = 0
    arrived: float = 0.0
    rejected: float = 0.0
    finished: float = 0.0
    failed: float = 0.0
    """How many of the finished runs ended in error or by timeout."""
    wait: Histogram = NOTHING
    execution: Histogram = NOTHING
    latency: Histogram = NOTHING
    loop_lag: float = 0.0
    draining: bool = False
    started_at: float | None = None
    """When its process started, if it reports that."""
    open_circuits: frozenset[str] = frozenset()
    """Graphs whose circuit breakers are not closed in this replica."""
    waiting_by: ByPriority | None = None
    oldest_by: ByPriority | None = None
    arrived_by: ByPriority | None = None
    next_due_seconds: float | None = None
    """Seconds until the next delayed run or cron of the service is due; None: none is known."""
    broken: frozenset[tuple[str, str]] | None = None
    """Kind and name of the circuits that are open in this replica; None: it shows no circuits."""
    cache_hits: float | None = None
    cache_misses: float | None = None
    tokens: float | None = None
    """Tokens of models. Like the two before, None if it was not asked for or is not on the page."""
    pinned: tuple[tuple[str, int, int], ...] | None = None
    """By the name of a revision: threads and runs of the service that are pinned to it, as counted some
    seconds ago. None: not known, or nothing is ever pinned."""
    used_up: frozenset[str] | None = None
    """Budgets of the service of which nothing is left; None: not asked for, or the page shows no budgets."""


def budgets_used_up(samples: Iterable[ReplicaSample]) -> frozenset[str] | None:
    """The budgets of which nothing is left, by the agreement of all replicas that report budgets; None: no
    replica reports any. They must agree, since one that looked a second ago may not know yet."""
    known = [each.used_up for each in samples if each.used_up is not None]
    return frozenset.intersection(*known) if known else None


def pinned_of(samples: Iterable[ReplicaSample]) -> dict[int, tuple[int, int]] | None:
    """By revision, how many threads and runs of the service are pinned to it; None if no replica tells. They
    tell what was counted at different times: the most of it counts."""
    told = [each.pinned for each in samples if each.pinned is not None]
    found: dict[int, tuple[int, int]] = {}
    for name, threads, runs in (each for one in told for each in one):
        known = found.get(int(name), (0, 0))
        found[int(name)] = max(known[0], threads), max(known[1], runs)
    return found if told else None


@value(frozen=True, slots=True)
class NoSample:
    """A replica gave no sample, and why."""

    replica: str
    reason: str


@value(frozen=True, slots=True)
class Observation:
    """One round: the samples received, and how many replicas there are.

    `ready` replicas take work; `starting` ones exist and are not ready yet; `draining` ones finish what they
    have; `failed` ones are ready and gave no sample this time.
    """

    at: float
    samples: tuple[ReplicaSample, ...]
    ready: int
    starting: int = 0
    draining: int = 0
    failed: int = 0
    starting_for: tuple[float, ...] = ()
    """For how many seconds each starting replica has been starting; one not listed was just asked for."""
    startup_seconds: float | None = None
    """Seconds that the ready replicas took to start, if that is known."""
    silent: int = 0
    """Replicas that only answer requests and gave no sample this time. The samples of such replicas have no
    slots; what they refuse and acknowledge is load like any other. None of the numbers above include them."""
    example: NoSample | None = None
    """One of the replicas that gave no sample: the first by its name, so that it stays the same."""


def first_without(answers: Iterable[ReplicaSample | NoSample]) -> NoSample | None:
    """The replica without a sample that is first by its name; None if all gave one."""
    missing = (each for each in answers if isinstance(each, NoSample))
    return min(missing, key=lambda each: each.replica, default=None)


STARTUPS = 5


def typical_startup(took: Sequence[float]) -> float | None:
    """Seconds that a replica typically takes to start: the median of what the newest ones `took`, newest
    first, so that one that was stuck, or became ready a second time, does not count.
    """
    return median_low(took[:STARTUPS]) if took else None


@value(frozen=True, slots=True)
class Arrivals:
    """`count` runs that arrived between `since` and `until`."""

    since: float
    until: float
    count: float


@value(frozen=True, slots=True)
class Change:
    """What happened since the round before in all replicas, and the samples to compare
    the next round with."""

    arrivals: tuple[Arrivals, ...] = ()
    wait: Histogram = NOTHING
    execution: Histogram = NOTHING
    latency: Histogram = NOTHING
    baselines: Mapping[str, ReplicaSample] = field(default_factory=dict)
    arrived_by: ByPriority = NONE_BY_PRIORITY
    """Runs that arrived of each priority, without requests that were refused."""


def merge(
    baselines: Mapping[str, ReplicaSample], observation: Observation, since: float | None, complete: bool
) -> Change:
    """The change from `baselines` (the last sample of each replica) to `observation`.

    `since` is the time of the round before (None: there was none) and `complete` says that it missed no
    replica. A replica never seen before is counted from zero if it must be new; otherwise its counters are
    only noted, because they may hold the load of hours.
    """
    arrivals: list[Arrivals] = []
    arrived_by = NONE_BY_PRIORITY
    waits: list[Histogram] = []
    executions: list[Histogram] = []
    latencies: list[Histogram] = []
    for sample in observation.samples:
        before = baseline(baselines.get(sample.replica), sample, since, complete)
        if before is None:
            continue
        refused = max(0.0, sample.rejected - before.rejected)
        # A full queue refuses what the service should have had room for: it is load like any other.
        arrived = max(0.0, sample.arrived - before.arrived) + refused
        arrivals.append(Arrivals(since=min(before.at, sample.at), until=sample.at, count=arrived))
        if sample.arrived_by is not None:
            arrived_by = _more_by(arrived_by, sample.arrived_by, before.arrived_by)
        if sample.wait is not before.wait:
            waits.append(sample.wait.minus(before.wait))
        if sample.execution is not before.execution:
            executions.append(sample.execution.minus(before.execution))
        if sample.latency is not before.latency:
            latencies.append(sample.latency.minus(before.latency))
    kept = {
        name: sample for name, sample in baselines.items() if observation.at - sample.at <= KEEP_GONE_SECONDS
    }
    kept.update({sample.replica: sample for sample in observation.samples})
    return Change(
        tuple(arrivals),
        Histogram.together(waits),
        Histogram.together(executions),
        Histogram.together(latencies),
        kept,
        arrived_by,
    )


def _more_by(so_far: ByPriority, now: ByPriority, before: ByPriority | None) -> ByPriority:
    high, normal, low = (
        known + max(0.0, new - old)
        for known, new, old in zip(so_far, now, before or NONE_BY_PRIORITY, strict=True)
    )
    return high, normal, low


def baseline(
    before: ReplicaSample | None, sample: ReplicaSample, since: float | None, complete: bool
) -> ReplicaSample | None:
    """What to subtract from `sample`: its last sample, zero for a new process, None if unknown. `since` and
    `complete` as for `merge`."""
    if before is not None and not _restarted(before, sample):
        return before
    if since is None:
        return None
    if not (before is not None or complete or _began_between(sample, since)):
        return None
    return ReplicaSample(replica=sample.replica, at=before.at if before else since, slots=sample.slots)


def _began_between(sample: ReplicaSample, since: float) -> bool:
    """Whether its process reports that it started after `since`; not believed if its clock is ahead."""
    return sample.started_at is not None and since - 1 <= sample.started_at <= sample.at + 1


def _restarted(before: ReplicaSample, sample: ReplicaSample) -> bool:
    if before.started_at is not None and sample.started_at is not None:
        return abs(before.started_at - sample.started_at) > 1.0
    return sample.arrived < before.arrived or sample.finished < before.finished
