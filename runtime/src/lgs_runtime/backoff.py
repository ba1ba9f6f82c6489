"""Exponential backoff with jitter: the pause before the next try, which grows with each failure up to a
bound. Pure except for the random jitter.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double. Each is longer or shorter by a random share of at most `jitter`."""

    first_seconds: float
    longest_seconds: float
    jitter: float = 0.1

    def pause(self, failures: int, chance: Callable[[], float] = random.random) -> float:
        """Seconds to wait after `failures` failures in a row (at least 1)."""
        doubled = self.first_seconds * 2.0 ** min(max(failures, 1) - 1, 60)
        return min(self.longest_seconds, doubled) * (1 + self.jitter * (2 * chance() - 1))
