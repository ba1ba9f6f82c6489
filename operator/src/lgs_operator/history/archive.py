"""Numbers over time in a fixed amount of memory: a ring of buckets for each resolution, like the round-robin
archives of RRDtool.

Each slot of a ring knows its stretch of time, so that no change of the clock makes a false point: if it jumps
ahead, older points stay, and if it is set back, they are found again. Times are seconds since the epoch.
Pure, except for what it keeps.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Final, Literal

Fold = Literal["mean", "max", "last"]
"""Which value of a bucket's numbers is kept."""
_NEVER: Final = -(2**62)
_LARGEST: Final = 3e38
"""About the largest number that four bytes can hold."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """The seconds of a bucket, and the number of buckets."""

    seconds: int
    buckets: int

    @property
    def span(self) -> int:
        """How many seconds back there are points."""
        return self.seconds * self.buckets


RESOLUTIONS: Final = (Resolution(5, 180), Resolution(30, 240), Resolution(300, 288))
"""A quarter of an hour, two hours, a day."""


@dataclass(frozen=True, slots=True)
class Points:
    """The points of a stretch of time: the starts of the buckets, ascending, and for each series their
    values, None if a bucket has none."""

    seconds: int
    at: tuple[float, ...]
    values: Mapping[str, tuple[float | None, ...]]


class Archive:
    """The series of one service. All memory is allocated at once: see `bytes`."""

    def __init__(self, series: Mapping[str, Fold], resolutions: Sequence[Resolution] = RESOLUTIONS) -> None:
        self._names = tuple(series)
        folds = tuple(series.values())
        self._rings = [_Ring(each, folds) for each in resolutions]

    @property
    def bytes(self) -> int:
        """How many bytes its numbers take."""
        return sum(each.bytes for each in self._rings)

    def add(self, at: float, values: Mapping[str, float | None]) -> None:
        """Adds what was measured at a moment. A value of None, or one that is not finite,
        counts as not measured."""
        if not isfinite(at) or abs(at) > 2**52:
            return
        row = [_number(values.get(name)) for name in self._names]
        for ring in self._rings:
            ring.add(int(at // ring.resolution.seconds), row)

    def points(self, now: float, seconds: float, since: float | None = None) -> Points:
        """The points of the last `seconds`, in the finest resolution that reaches back so far; with `since`,
        only of buckets that end after it. No points later than `now`."""
        ring, buckets = self._stretch(now, seconds, since)
        step = ring.resolution.seconds
        rows = [row for bucket in buckets if (row := ring.row(bucket)) is not None]
        columns = zip(*(values for _, values in rows), strict=True) if rows else ((),) * len(self._names)
        return Points(
            step,
            tuple(float(bucket * step) for bucket, _ in rows),
            dict(zip(self._names, columns, strict=True)),
        )

    def line(self, name: str, now: float, seconds: float) -> list[float | None]:
        """The values of one series, as `points` gives them."""
        ring, buckets = self._stretch(now, seconds, None)
        column = self._names.index(name)
        return [ring.value(bucket, column) for bucket in buckets if ring.has(bucket)]

    def _stretch(self, now: float, seconds: float, since: float | None) -> tuple[_Ring, range]:
        ring = next((each for each in self._rings if each.resolution.span >= seconds), self._rings[-1])
        step = ring.resolution.seconds
        newest = int(now // step)
        first = newest - min(ring.resolution.buckets, max(1, int(seconds // step))) + 1
        if since is not None:
            first = max(first, int(min(since, now) // step))
        return ring, range(first, newest + 1)


class _Ring:
    """The buckets of one resolution. For means, it counts the numbers in the bucket that is open."""

    def __init__(self, resolution: Resolution, folds: tuple[Fold, ...]) -> None:
        self.resolution = resolution
        self._folds = folds
        self._of = array("q", [_NEVER]) * resolution.buckets
        self._values = array("f", [nan]) * (resolution.buckets * len(folds))
        self._open = _NEVER
        self._counts = [0] * len(folds)
        self._means = [0.0] * len(folds)

    @property
    def bytes(self) -> int:
        return len(self._of) * self._of.itemsize + len(self._values) * self._values.itemsize

    def add(self, bucket: int, row: Sequence[float | None]) -> None:
        slot, wide = bucket % self.resolution.buckets, len(self._folds)
        start = slot * wide
        if bucket != self._open:
            # also a bucket from before the clock was set back: it starts afresh
            self._open, self._of[slot] = bucket, bucket
            self._values[start : start + wide] = array("f", [nan]) * wide
            self._counts = [0] * wide
        for column, value in enumerate(row):
            if value is None:
                continue
            self._counts[column] += 1
            self._values[start + column] = self._folded(column, value, self._values[start + column])

    def _folded(self, column: int, value: float, before: float) -> float:
        if self._counts[column] == 1:
            self._means[column] = value
            return value
        if self._folds[column] == "max":
            return max(before, value)
        if self._folds[column] == "last":
            return value
        # kept in full precision: a mean in four bytes would drift
        self._means[column] += (value - self._means[column]) / self._counts[column]
        return self._means[column]

    def has(self, bucket: int) -> bool:
        """Whether a bucket is kept."""
        return self._of[bucket % self.resolution.buckets] == bucket

    def value(self, bucket: int, column: int) -> float | None:
        """One number of a bucket; None if it was not measured."""
        kept = self._values[bucket % self.resolution.buckets * len(self._folds) + column]
        return kept if kept == kept else None  # noqa: PLR0124

    def row(self, bucket: int) -> tuple[int, tuple[float | None, ...]] | None:
        """The number and the values of a bucket; None if it was overwritten or never existed."""
        if not self.has(bucket):
            return None
        slot, wide = bucket % self.resolution.buckets, len(self._folds)
        kept = self._values[slot * wide : (slot + 1) * wide]
        return bucket, tuple(None if value != value else value for value in kept)  # noqa: PLR0124


def _number(value: float | None) -> float | None:
    if value is None or not isfinite(value):
        return None
    return max(-_LARGEST, min(_LARGEST, value))
