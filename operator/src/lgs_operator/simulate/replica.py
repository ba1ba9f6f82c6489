"""A simulated replica, and what it counts."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf
from operator import add

from lgs_operator.scaling.histogram import Histogram

BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, inf)


@dataclass(slots=True)
class Observed:
    """Observed seconds, counted as in a histogram."""

    counts: list[int] = field(default_factory=lambda: [0] * len(BOUNDS))
    total: float = 0.0
    _told: Histogram | None = None

    def add(self, seconds: float) -> None:
        """Adds one observation."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds
        self._told = None

    def take(self, other: Observed) -> None:
        """Adds all of `other`."""
        self.counts = list(map(add, self.counts, other.counts))
        self.total += other.total
        self._told = None

    def histogram(self) -> Histogram:
        """All observations in the form that a replica reports."""
        if self._told is None:
            counts = tuple(accumulate(self.counts))
            self._told = Histogram(BOUNDS, counts, self.total, counts[-1])
        return self._told


@dataclass(slots=True, eq=False)
class Counters:
    """What one replica, or several together, have counted since their start."""

    arrived: int = 0
    finished: int = 0
    wait: Observed = field(default_factory=Observed)
    execution: Observed = field(default_factory=Observed)
    latency: Observed = field(default_factory=Observed)

    def take(self, other: Counters) -> None:
        """Adds all of `other`."""
        self.arrived += other.arrived
        self.finished += other.finished
        for mine, more in (
            (self.wait, other.wait),
            (self.execution, other.execution),
            (self.latency, other.latency),
        ):
            mine.take(more)


@dataclass(slots=True, eq=False)
class Replica:
    """A replica that starts at `asked_at` and takes runs from `ready_at` on."""

    name: str
    asked_at: float
    ready_at: float
    counters: Counters
    in_use: int = 0
    draining: bool = False
    gone: bool = False
