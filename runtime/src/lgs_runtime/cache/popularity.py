"""Which keys are requested again, and how soon: a sketch that counts all keys, and a table of bounded size
for the hot ones. Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

from lgs_runtime.cache.place import Place
from lgs_runtime.cache.sketch import FrequencySketch

MOST_HOT: Final = 1024
SAMPLE: Final = 8
"""How many hot keys are sampled to find the one to replace."""
WEIGHT: Final = 0.2
"""Weight of the newest interval in the moving mean of the intervals."""
LEAST: Final = 2
"""How often a key must have been requested to be worth a place."""


@dataclass(slots=True)
class HotKey:
    """What is known about a key that is requested often."""

    key: str
    namespace: str
    last: float
    """When it was last requested."""
    interval: float = inf
    """The mean time between two requests, in seconds; infinite after the first."""
    elsewhere: float = 0.0
    """Requests per second at the other replicas."""
    expires_at: float | None = None
    """When the cached value stops being fresh; None if not known."""
    ttl: float = 0.0
    call: Any = None
    """How to recompute it outside of the call that needs it, where that is possible."""
    not_before: float = 0.0
    """When it may next be recomputed, at the earliest."""
    unsent: int = 0
    """Requests that have not been reported to the other replicas yet."""

    def asked(self, times: int, now: float) -> None:
        """Notes so many requests since the last ones."""
        mean = max(now - self.last, 1e-3) / times
        weight = 1.0 - (1.0 - WEIGHT) ** times
        self.interval = mean if self.interval == inf else self.interval + weight * (mean - self.interval)
        self.last = now
        self.unsent += times

    def uses(self, seconds: float, now: float) -> float:
        """How often it will be requested within so many seconds. A key cools when it is silent for longer
        than its usual interval."""
        interval = max(self.interval, now - self.last)
        return seconds * ((0.0 if interval == inf else 1.0 / interval) + self.elsewhere)


@dataclass(slots=True)
class Popularity:
    """The hot keys, and the counts of all keys."""

    most: int = MOST_HOT
    counts: FrequencySketch = field(default_factory=FrequencySketch)
    hot: dict[str, HotKey] = field(default_factory=dict)

    def asked(self, asked: Mapping[Place, int], now: float) -> None:
        """Counts how often each key was requested since the last call."""
        for (namespace, key), times in asked.items():
            count = self.counts.add(key, times)
            if (known := self.hot.get(key)) is not None:
                known.asked(times, now)
            elif count >= LEAST and self._has_room(count):
                self.hot[key] = HotKey(key, namespace, now, unsent=times)

    def stored(self, key: str, ttl: float, expires_at: float) -> None:
        """Notes that a value was cached again, or was seen to be."""
        if (known := self.hot.get(key)) is not None:
            known.ttl, known.expires_at = ttl, expires_at

    def gone(self, keys: Iterable[str]) -> None:
        """Notes that these were deleted: they must not be recomputed without a new request."""
        for key in keys:
            if (known := self.hot.get(key)) is not None:
                known.expires_at = known.call = None

    def take_unsent(self, most: int) -> dict[str, int]:
        """The hot keys with the most unreported requests, at most `most`. All unreported requests count as
        sent from here on."""
        by_count = sorted((hot for hot in self.hot.values() if hot.unsent), key=lambda hot: -hot.unsent)[
            :most
        ]
        found = {hot.key: hot.unsent for hot in by_count}
        for hot in self.hot.values():
            hot.unsent = 0
        return found

    def set_rates(self, rates: Mapping[str, float], now: float) -> None:
        """Sets the requests per second of each key at all replicas; a key that is absent is unknown."""
        for key, hot in tuple(self.hot.items()):
            hot.elsewhere = 0.0
            hot.elsewhere = max(0.0, rates.get(key, 0.0) - hot.uses(1.0, now))

    def _has_room(self, count: int) -> bool:
        """Whether there is room for a key with this count: a free place, or that of a key requested less
        often, which is removed."""
        if len(self.hot) < self.most:
            return True
        coldest = min(self._sampled(), key=self.counts.count)
        if self.counts.count(coldest) >= count:
            return False
        del self.hot[coldest]
        return True

    def _sampled(self) -> Iterator[str]:
        """A sample of the hot keys, another one each time: the first ones, which move to the end."""
        for key in [key for key, _ in zip(self.hot, range(SAMPLE), strict=False)]:
            self.hot[key] = self.hot.pop(key)
            yield key
