"""What a service did in the last five minutes, from the answers of its replicas. Pure.

Counters belong to one process: what each has counted since its last answer is summed over all, so that a
replica that restarts, comes or goes makes no false number. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from operator import add, sub
from typing import Final

from lgs_operator.scaling.histogram import NOTHING, Histogram
from lgs_operator.scaling.samples import Observation, ReplicaSample, baseline
from lgs_operator.scaling.values import value

SECONDS: Final = 300.0
"""The length of the window, `[5m]` as in the rules for Prometheus."""


@value(frozen=True, slots=True)
class Counts:
    """What all replicas counted together."""

    arrived: float = 0.0
    rejected: float = 0.0
    finished: float = 0.0
    failed: float = 0.0
    cache_hits: float = 0.0
    cache_misses: float = 0.0
    tokens: float = 0.0
    wait: Histogram = NOTHING
    latency: Histogram = NOTHING

    def plus(self, other: Counts) -> Counts:
        """The sum of both."""
        return _joined(self, other, add, self.wait.plus(other.wait), self.latency.plus(other.latency))

    def minus(self, earlier: Counts) -> Counts:
        """What was counted since `earlier`."""
        wait, latency = self.wait.minus(earlier.wait), self.latency.minus(earlier.latency)
        return _joined(self, earlier, sub, wait, latency)


def _joined(
    one: Counts | ReplicaSample,
    other: Counts | ReplicaSample,
    number: Callable[[float, float], float],
    wait: Histogram,
    latency: Histogram,
) -> Counts:
    return Counts(
        arrived=number(one.arrived, other.arrived),
        rejected=number(one.rejected, other.rejected),
        finished=number(one.finished, other.finished),
        failed=number(one.failed, other.failed),
        cache_hits=number(one.cache_hits or 0.0, other.cache_hits or 0.0),
        cache_misses=number(one.cache_misses or 0.0, other.cache_misses or 0.0),
        tokens=number(one.tokens or 0.0, other.tokens or 0.0),
        wait=wait,
        latency=latency,
    )


def _grown(now: float, before: float) -> float:
    """The growth of a counter, which never falls."""
    return max(0.0, now - before)


@value(frozen=True, slots=True)
class Window:
    """A window over counters. `points` are sums at earlier moments, oldest first; `complete`: at the last one
    no replica was silent."""

    points: tuple[tuple[float, Counts], ...] = ()
    baselines: Mapping[str, ReplicaSample] = field(default_factory=dict)
    complete: bool = False
    latest: Counts = field(default_factory=Counts)
    """What was counted between the last two rounds of answers."""

    @property
    def seconds(self) -> float:
        """How many seconds it covers; 0 if there is nothing to compare with."""
        return self.points[-1][0] - self.points[0][0] if self.points else 0.0

    @property
    def is_whole(self) -> bool:
        """Whether all replicas answered in the last round, and the window covers `SECONDS`."""
        return self.complete and self.seconds >= SECONDS

    @property
    def change(self) -> Counts:
        """What was counted in the window."""
        return self.points[-1][1].minus(self.points[0][1]) if self.points else Counts()


def advanced(window: Window, observation: Observation, seconds: float = SECONDS) -> Window:
    """The window of `seconds` with one more round of answers; unchanged if no replica answered."""
    if not observation.samples:
        return window
    at = observation.at
    if window.points and at <= window.points[-1][0]:
        # the clock was set back: start afresh from here
        window = Window()
    since = window.points[-1][0] if window.points else None
    earlier = total = window.points[-1][1] if window.points else Counts()
    for sample in observation.samples:
        before = baseline(window.baselines.get(sample.replica), sample, since, window.complete)
        if before is not None:
            total = total.plus(_since(sample, before))
    points = (*window.points, (at, total))
    while len(points) > 2 and points[1][0] <= at - seconds:
        points = points[1:]
    # the next answer of a replica that is silent now counts from its last one
    kept = {name: each for name, each in window.baselines.items() if at - each.at <= SECONDS}
    kept.update({sample.replica: sample for sample in observation.samples})
    return Window(points, kept, not (observation.failed or observation.silent), total.minus(earlier))


def _since(sample: ReplicaSample, before: ReplicaSample) -> Counts:
    wait, latency = sample.wait.minus(before.wait), sample.latency.minus(before.latency)
    return _joined(sample, before, _grown, wait, latency)
