"""When a result is computed ahead of its expiry, and how many are at most. Pure: time is an argument.

Computing ahead is worth it only for a result that will be requested while the new one lives; otherwise the
work is wasted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

USES: Final = 2.0
"""How many requests must be expected within one life of a result."""
SHARE: Final = 0.1
"""Computations ahead per request, at most."""
BURST: Final = 32.0
EARLY: Final = 0.1
"""Share of a result's life before its expiry in which it may be computed ahead."""
LATEST: Final = 0.5
SPREAD: Final = 0.5
"""Results that were stored together are recomputed at different times, up to this share earlier."""
SHORTEST_SECONDS: Final = 2.0
"""Values with a shorter life than this, in seconds, are not computed ahead."""


def margin(key: str, ttl: float, cost: float) -> float:
    """How many seconds before it expires a result may be recomputed: enough for the new one to be ready by
    then. `cost` is how many seconds the computation takes."""
    if ttl < SHORTEST_SECONDS:
        return 0.0
    needed = max(EARLY * ttl, 2.0 * cost, 1.0)
    return min(needed * (1.0 + SPREAD * (hash(key) & 0xFFFF) / 0x10000), LATEST * ttl)


@dataclass(slots=True)
class Budget:
    """How many computations ahead may be started: a share of the requests, saved up to a burst."""

    share: float = SHARE
    left: float = BURST

    def earn(self, asked: int) -> None:
        """Adds the share of so many requests."""
        self.left = min(BURST, self.left + self.share * asked)

    def spend(self) -> bool:
        """Takes one computation from the budget; returns False if there is none left."""
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True
