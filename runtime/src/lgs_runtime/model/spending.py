"""What calls of models have cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spent:
    """`tokens` and `cost` of one spender (`who`) in a bucket of `seconds`."""

    who: str
    seconds: int
    tokens: float
    cost: float
    bucket: int = 0
    """The number of the bucket since the epoch, in units of `seconds`; set only in what is read."""
