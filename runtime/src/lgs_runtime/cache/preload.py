"""When a result is computed anew before it expires, and how many at most. Pure: time is an argument.

That is worth it for a result that will be requested again while the new one lives: else the computation is
in vain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

USES: Final = 2.0
"""A result must be expected to be requested so often in a life."""
SHARE: Final = 0.1
"""Computations ahead for each request, at most."""
BURST: Final = 32.0
EARLY: Final = 0.1
"""Of its life, that a result is computed anew ahead of its end."""
LATEST: Final = 0.5
SPREAD: Final = 0.5
"""Results that were stored together are computed anew up to so much earlier than others: not all at once."""
SHORTEST_SECONDS: Final = 2.0
"""Values that live shorter are not computed ahead."""


def margin(key: str, ttl: float, cost: float) -> float:
    """For how many seconds before its end a result may be computed anew: enough that the new one is there by
    then. `cost` is how long the computation takes."""
    if ttl < SHORTEST_SECONDS:
        return 0.0
    needed = max(EARLY * ttl, 2.0 * cost, 1.0)
    return min(needed * (1.0 + SPREAD * (hash(key) & 0xFFFF) / 0x10000), LATEST * ttl)


@dataclass(slots=True)
class Budget:
    """Computations ahead that may be begun: a share of the askings, saved up to a burst."""

    share: float = SHARE
    left: float = BURST

    def earn(self, asked: int) -> None:
        """So many askings were answered."""
        self.left = min(BURST, self.left + self.share * asked)

    def spend(self) -> bool:
        """Whether one more may be begun."""
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True
