"""How long to wait before the next try: longer after each failure, up to a bound, with jitter so that not all
retry at once. Pure but for chance."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double up to a bound, in seconds. `jitter` is the share by which chance makes each longer
    or shorter."""

    first_seconds: float
    longest_seconds: float
    jitter: float = 0.1

    def pause(self, failures: int, chance: Callable[[], float] = random.random) -> float:
        """Seconds to wait after this many failures in a row, 1 or more."""
        doubled = self.first_seconds * 2.0 ** min(max(failures, 1) - 1, 60)
        return min(self.longest_seconds, doubled) * (1 + self.jitter * (2 * chance() - 1))
