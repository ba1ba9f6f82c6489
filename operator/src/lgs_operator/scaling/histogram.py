"""A Prometheus histogram as a value, with differences, sums and quantiles.

Pure. A round of the scaling law adds and subtracts dozens of histograms, so bounds and counts are kept apart:
all histograms of one release share their bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from math import inf
from operator import add, sub

from lgs_operator.scaling.values import value


@value(frozen=True, slots=True)
class Histogram:
    """`bounds` in seconds, ascending, the last one infinite; `counts` of observations at or below each."""

    bounds: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()
    total: float = 0.0
    count: float = 0.0

    @staticmethod
    def of(buckets: Iterable[tuple[float, float]], total: float, count: float) -> Histogram:
        """The histogram of pairs of a bound and the count at or below it."""
        bounds, counts = tuple(zip(*buckets, strict=True)) or ((), ())
        return Histogram(bounds, counts, total, count)

    def minus(self, earlier: Histogram) -> Histogram:
        """What was observed since `earlier`; all of it when the bounds differ."""
        if self is earlier:
            return NOTHING
        if self.bounds != earlier.bounds:
            return self
        counts = tuple(map(sub, self.counts, earlier.counts))
        return Histogram(
            self.bounds,
            counts if min(counts, default=0.0) >= 0 else tuple(max(0.0, each) for each in counts),
            max(0.0, self.total - earlier.total),
            max(0.0, self.count - earlier.count),
        )

    def plus(self, other: Histogram) -> Histogram:
        """Both together. If the bounds differ (two versions of the runtime), the fuller one is kept."""
        if not other.count:
            return self
        if self.bounds != other.bounds:
            return self if self.count >= other.count else other
        return Histogram(
            self.bounds,
            tuple(map(add, self.counts, other.counts)),
            self.total + other.total,
            self.count + other.count,
        )

    @staticmethod
    def together(histograms: Sequence[Histogram]) -> Histogram:
        """All of them together, like `plus` one after the other."""
        counted = [each for each in histograms if each.count]
        if not counted:
            return NOTHING
        if len(counted) == 1:
            return counted[0]
        bounds = counted[0].bounds
        if [each.bounds for each in counted].count(bounds) < len(counted):
            return reduce(Histogram.plus, counted)
        return Histogram(
            bounds,
            tuple(map(sum, zip(*[each.counts for each in counted], strict=True))),
            sum([each.total for each in counted]),
            sum([each.count for each in counted]),
        )

    def quantile(self, share: float) -> float | None:
        """The value below which `share` of the observations lie, linear within a bucket; None without any.

        An observation in the last, unbounded bucket reads as the largest finite bound.
        """
        if not self.counts or self.counts[-1] <= 0:
            return None
        rank = share * self.counts[-1]
        low, below = 0.0, 0.0
        for bound, cumulative in zip(self.bounds, self.counts, strict=True):
            if cumulative >= rank:
                if bound == inf:
                    return low
                inside = cumulative - below
                return low + (bound - low) * ((rank - below) / inside if inside > 0 else 1.0)
            low, below = bound, cumulative
        return low

    def below(self, bound: float) -> float:
        """How many observations are at or below `bound`, linear within a bucket. Those in the last, unbounded
        bucket do not count."""
        low, below = 0.0, 0.0
        for upper, cumulative in zip(self.bounds, self.counts, strict=True):
            if upper > bound:
                return below if upper == inf else below + (cumulative - below) * (bound - low) / (upper - low)
            low, below = upper, cumulative
        return below


NOTHING = Histogram()
