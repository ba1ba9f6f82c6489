"""How much of a budget is used up in the time before now, and when enough of it is over. Pure.

What is spent is kept in buckets, sixty to a period; it counts until the whole bucket is older than the
period, so that a budget is never exceeded in any hour or day, and comes back bit by bit. Times are seconds
since the epoch, by the database's clock. What that clock, when it was ahead, left more than a bucket in the
future does not count until then: else one that was a year ahead for a moment would close a service for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Final

from lgs_runtime.budgets.limits import PERIODS, Limit, Unit

BUCKETS: Final = 60
"""Of a period, beside the one that is going on."""
SIZES: Final = tuple(each // BUCKETS for each in PERIODS.values())
"""Seconds of the buckets of all budgets that may be."""
Amounts = Mapping[Unit, float]


def size_of(limit: Limit) -> int:
    """Seconds of a bucket."""
    return limit.seconds // BUCKETS


def number_of(size: int, now: float) -> int:
    """The bucket that is going on."""
    return int(now // size)


def used(limit: Limit, buckets: Mapping[int, Amounts], unwritten: Amounts, now: float) -> float:
    """What counts now, of what is in the database and what is not there yet."""
    current = number_of(size_of(limit), now)
    kept = sum(
        amounts.get(limit.unit, 0.0) for number, amounts in buckets.items() if _counts(number, current)
    )
    return kept + unwritten.get(limit.unit, 0.0)


def free_at(limit: Limit, buckets: Mapping[int, Amounts], unwritten: Amounts, now: float) -> float | None:
    """When less than all will count, if nothing more is spent; None where that is so now."""
    size = size_of(limit)
    current = number_of(size, now)
    numbered = {number: amounts.get(limit.unit, 0.0) for number, amounts in buckets.items()}
    numbered[current] = numbered.get(current, 0.0) + unwritten.get(limit.unit, 0.0)
    counts = sorted((number, each) for number, each in numbered.items() if each and _counts(number, current))
    # from the newest on: the first bucket with which it is too much must be over
    total = 0.0
    for number, each in reversed(counts):
        total += each
        if total >= limit.most:
            return float((number + BUCKETS + 1) * size)
    return None


def _counts(number: int, current: int) -> bool:
    """Whether a bucket does. One ahead may be of before a fail-over to a clock that is a little behind."""
    return current - BUCKETS <= number <= current + 1


def retry_after(moments: Iterable[float], now: float) -> int:
    """Whole seconds until the last of them, one at least."""
    return max(1, ceil(max(moments) - now))
