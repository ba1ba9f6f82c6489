"""What models' calls have cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spent:
    """`tokens` and `cost` of one who spends, in a bucket of `seconds`. Which one, what is read says."""

    who: str
    seconds: int
    tokens: float
    cost: float
    bucket: int = 0
    """Seconds since the epoch, in buckets."""
