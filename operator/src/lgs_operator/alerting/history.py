"""The outcomes of a service's runs in the last hours and days, in few numbers: the further back, the coarser.
Pure. Times are seconds since the epoch.

Every count goes into a bucket of each tier. A window is counted in the finest tier that reaches back far
enough; the bucket in which it begins counts in proportion.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from lgs_operator.scaling.values import value

TIERS: Final = ((60, 30 * 60), (600, 6 * 3600), (3 * 3600, 3 * 86400), (86400, 90 * 86400))
"""For each tier: the seconds of a bucket, and of the longest window."""
MOST: Final = 1e15
"""The most runs that are counted, so that sums stay finite."""
MOST_TEXT: Final = 16384
VERSION: Final = 1


@value(frozen=True, slots=True)
class Outcomes:
    """Counts of runs: `runs` ended or were refused, of which `bad` failed or were refused; `timed` ended, of
    which `slow` took too long."""

    runs: float = 0.0
    bad: float = 0.0
    timed: float = 0.0
    slow: float = 0.0

    def plus(self, other: Outcomes, part: float = 1.0) -> Outcomes:
        """The sum with a part of `other`."""
        mine, others = self.numbers, other.numbers
        return Outcomes(*(min(MOST, one + part * two) for one, two in zip(mine, others, strict=True)))

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        """The numbers in the order of the fields."""
        return self.runs, self.bad, self.timed, self.slow

    @property
    def bounded(self) -> Outcomes:
        """The same with each number between 0 and `MOST`, since replicas may answer any number."""
        return Outcomes(*(min(MOST, each) if each > 0 else 0.0 for each in self.numbers))


Bucket = tuple[int, Outcomes]
"""The start, in multiples of the tier's bucket size, and what was counted in it."""


@dataclass(frozen=True)
class History:
    """What was counted since `since`. `seconds` is how long a run may take before it counts as `slow`."""

    tiers: tuple[tuple[Bucket, ...], ...] = ((),) * len(TIERS)
    since: float | None = None
    seconds: float | None = None

    def counted(self, window: float, now: float) -> Outcomes:
        """What was counted in the last `window` seconds."""
        size, buckets = next(
            (size, buckets)
            for (size, longest), buckets in zip(TIERS, self.tiers, strict=True)
            if window <= longest
        )
        total, begin = Outcomes(), now - window
        for number, outcomes in buckets:
            start, end = number * size, min((number + 1) * size, now)
            inside = end - max(start, begin)
            if inside > 0:
                total = total.plus(outcomes, min(1.0, inside / (end - start)))
            elif end <= start <= now:
                total = total.plus(outcomes)
        return total

    def following(self, seconds: float | None) -> History:
        """The history with this limit for a run; if the limit changed, slow runs are counted afresh."""
        if seconds == self.seconds:
            return self
        tiers = tuple(
            tuple((number, Outcomes(each.runs, each.bad)) for number, each in buckets)
            for buckets in self.tiers
        )
        return History(tiers, self.since, seconds)

    def with_more(self, outcomes: Outcomes, now: float) -> History:
        """The history with what was counted just now. Buckets in the future, left by a clock that was
        ahead, are dropped."""
        outcomes = outcomes.bounded
        since = now if self.since is None else min(self.since, now)
        if not any(outcomes.numbers):
            return self if since == self.since else History(self.tiers, since, self.seconds)
        tiers = tuple(
            _with(buckets, outcomes, int(now // size), longest // size + 1)
            for (size, longest), buckets in zip(TIERS, self.tiers, strict=True)
        )
        return History(tiers, since, self.seconds)

    def to_json(self) -> str:
        """The history as JSON for the status, below 12 KiB."""
        tiers = [[[number, *map(_short, each.numbers)] for number, each in buckets] for buckets in self.tiers]
        body = {"v": VERSION, "since": _short(self.since or 0.0), "seconds": self.seconds, "tiers": tiers}
        return json.dumps(body, separators=(",", ":"))

    @staticmethod
    def from_json(text: str | None) -> History:
        """The history that an operator wrote; an empty one if this version can't read it."""
        try:
            if text is None or len(text) > MOST_TEXT:
                return History()
            return _read(json.loads(text))
        except (ValueError, TypeError, KeyError, RecursionError):
            return History()


def _with(buckets: tuple[Bucket, ...], outcomes: Outcomes, number: int, most: int) -> tuple[Bucket, ...]:
    last = buckets[-1] if buckets and buckets[-1][0] == number else None
    kept = tuple(each for each in buckets if number - most <= each[0] < number)
    return (*kept, (number, outcomes if last is None else last[1].plus(outcomes)))


def _short(count: float) -> float:
    return round(count) if count == round(count) else round(count, 2)


def _read(body: Any) -> History:
    if body["v"] != VERSION:
        return History()
    tiers = tuple(tuple(_buckets(each)) for each in body["tiers"])
    if len(tiers) != len(TIERS):
        return History()
    seconds = body["seconds"]
    return History(tiers, _number(body["since"]), None if seconds is None else _number(seconds))


def _buckets(written: Any) -> Iterator[Bucket]:
    before = -1
    for number, *counts in written:
        if not isinstance(number, int) or number <= before or len(counts) != 4:
            raise ValueError
        before = number
        yield number, Outcomes(*map(_number, counts))


def _number(written: Any) -> float:
    found = float(written)
    if not isfinite(found) or not 0 <= found <= MOST:
        raise ValueError
    return found
