"""How much of a budget is used up in the time before now, and when enough of it is over. Pure.

What is spent is kept in buckets, sixty to a period; it counts until the whole bucket is older than the
period, so that a budget is never exceeded in any hour or day, and comes back bit by bit. Times are seconds
since the epoch, by the database's clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Final

from lgs_runtime.budgets.limits import Limit, Unit

BUCKETS: Final = 60
"""Of a period, beside the one that is going on."""
Amounts = Mapping[Unit, float]


def size_of(limit: Limit) -> int:
    """Seconds of a bucket."""
    return limit.seconds // BUCKETS


def number_of(size: int, now: float) -> int:
    """The bucket that is going on."""
    return int(now // size)


def used(limit: Limit, buckets: Mapping[int, Amounts], unwritten: Amounts, now: float) -> float:
    """What counts now, of what is in the database and what is not there yet."""
    first = number_of(size_of(limit), now) - BUCKETS
    kept = sum(amounts.get(limit.unit, 0.0) for number, amounts in buckets.items() if number >= first)
    return kept + unwritten.get(limit.unit, 0.0)


def free_at(limit: Limit, buckets: Mapping[int, Amounts], unwritten: Amounts, now: float) -> float | None:
    """When less than all will count, if nothing more is spent; None where that is so now."""
    size = size_of(limit)
    current = number_of(size, now)
    numbered = {number: amounts.get(limit.unit, 0.0) for number, amounts in buckets.items()}
    numbered[current] = numbered.get(current, 0.0) + unwritten.get(limit.unit, 0.0)
    counts = sorted(
        (number, each) for number, each in numbered.items() if number >= current - BUCKETS and each
    )
    # from the newest on: the first bucket with which it is too much must be over
    total = 0.0
    for number, each in reversed(counts):
        total += each
        if total >= limit.most:
            return float((number + BUCKETS + 1) * size)
    return None


def retry_after(moments: Iterable[float], now: float) -> int:
    """Whole seconds until the last of them, one at least."""
    return max(1, ceil(max(moments) - now))
