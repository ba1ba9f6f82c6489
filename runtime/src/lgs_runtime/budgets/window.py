"""How much of a budget is used in the period up to now, and when enough of that will have expired. Pure.

Spending is kept in buckets, sixty to a period. A bucket counts until all of it is older than the period, so
that a budget holds for any hour or day, whenever that begins, and becomes free bit by bit. Times are seconds
since the epoch, by the database's clock. Buckets that this clock, when it was ahead, left more than one
bucket in the future do not count until then: otherwise a clock that was a year ahead for a moment would close
a service for a year.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Final

from lgs_runtime.budgets.limits import PERIODS, Limit, Unit

BUCKETS: Final = 60
"""Buckets of a period, besides the current one."""
SIZES: Final = tuple(each // BUCKETS for each in PERIODS.values())
"""Lengths of the buckets of all possible budgets, in seconds."""
Amounts = Mapping[Unit, float]


def size_of(limit: Limit) -> int:
    """The length of a budget's buckets, in seconds."""
    return limit.seconds // BUCKETS


def number_of(size: int, now: float) -> int:
    """The number of the current bucket."""
    return int(now // size)


def used(limit: Limit, buckets: Mapping[int, Amounts], unwritten: Amounts, now: float) -> float:
    """What counts now, of what is in the database and of what is not written yet."""
    current = number_of(size_of(limit), now)
    kept = sum(
        amounts.get(limit.unit, 0.0) for number, amounts in buckets.items() if _counts(number, current)
    )
    return kept + unwritten.get(limit.unit, 0.0)


def free_at(limit: Limit, buckets: Mapping[int, Amounts], unwritten: Amounts, now: float) -> float | None:
    """When less than the whole budget will count, if nothing more is spent; None if that is so now."""
    size = size_of(limit)
    current = number_of(size, now)
    numbered = {number: amounts.get(limit.unit, 0.0) for number, amounts in buckets.items()}
    numbered[current] = numbered.get(current, 0.0) + unwritten.get(limit.unit, 0.0)
    counts = sorted((number, each) for number, each in numbered.items() if each and _counts(number, current))
    # from the newest on: the first bucket with which the sum reaches the budget must expire
    total = 0.0
    for number, each in reversed(counts):
        total += each
        if total >= limit.most:
            return float((number + BUCKETS + 1) * size)
    return None


def _counts(number: int, current: int) -> bool:
    """Whether a bucket counts. One that is ahead may be from before a failover to a clock that is a little
    behind."""
    return current - BUCKETS <= number <= current + 1


def retry_after(moments: Iterable[float], now: float) -> int:
    """Whole seconds until the latest of the moments, at least one."""
    return max(1, ceil(max(moments) - now))
