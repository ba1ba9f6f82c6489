"""Which keys are wanted again, and how soon: a sketch that counts all of them, and a table of bounded size
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
"""Of the hot keys so many are sampled for the one that is replaced."""
WEIGHT: Final = 0.2
"""Of the newest interval among those before it."""
LEAST: Final = 2
"""A key that was asked for so often is worth a place."""


@dataclass(slots=True)
class HotKey:
    """What is known of a key that is asked for often."""

    key: str
    namespace: str
    last: float
    """When it was asked for last."""
    interval: float = inf
    """The mean time between two requests, in seconds; infinite after the first."""
    elsewhere: float = 0.0
    """How often a second the other replicas are asked for it."""
    expires_at: float | None = None
    """When the value that is cached is no longer fresh; None: none is known."""
    ttl: float = 0.0
    call: Any = None
    """How it is computed anew, where that is possible outside of the call that needs it."""
    not_before: float = 0.0
    """When it may be computed anew next."""
    unsent: int = 0
    """Requests that the other replicas have not been sent."""

    def asked(self, times: int, now: float) -> None:
        """So many requests since the last."""
        mean = max(now - self.last, 1e-3) / times
        weight = 1.0 - (1.0 - WEIGHT) ** times
        self.interval = mean if self.interval == inf else self.interval + weight * (mean - self.interval)
        self.last = now
        self.unsent += times

    def uses(self, seconds: float, now: float) -> float:
        """How often it will be asked for in so many seconds. One that is silent for longer than before
        cools."""
        interval = max(self.interval, now - self.last)
        return seconds * ((0.0 if interval == inf else 1.0 / interval) + self.elsewhere)


@dataclass(slots=True)
class Popularity:
    """The hot keys, and the counts of all."""

    most: int = MOST_HOT
    counts: FrequencySketch = field(default_factory=FrequencySketch)
    hot: dict[str, HotKey] = field(default_factory=dict)

    def asked(self, asked: Mapping[Place, int], now: float) -> None:
        """How often each was asked for since the last time."""
        for (namespace, key), times in asked.items():
            count = self.counts.add(key, times)
            if (known := self.hot.get(key)) is not None:
                known.asked(times, now)
            elif count >= LEAST and self._has_room(count):
                self.hot[key] = HotKey(key, namespace, now, unsent=times)

    def stored(self, key: str, ttl: float, expires_at: float) -> None:
        """A value is cached anew, or was seen to be."""
        if (known := self.hot.get(key)) is not None:
            known.ttl, known.expires_at = ttl, expires_at

    def gone(self, keys: Iterable[str]) -> None:
        """These were forgotten: they must not come back by themselves."""
        for key in keys:
            if (known := self.hot.get(key)) is not None:
                known.expires_at = known.call = None

    def take_unsent(self, most: int) -> dict[str, int]:
        """The hot keys with the most requests that the other replicas have not been sent; they count as
        sent from here on."""
        by_count = sorted((hot for hot in self.hot.values() if hot.unsent), key=lambda hot: -hot.unsent)[
            :most
        ]
        found = {hot.key: hot.unsent for hot in by_count}
        for hot in self.hot.values():
            hot.unsent = 0
        return found

    def set_rates(self, rates: Mapping[str, float], now: float) -> None:
        """Sets how often a second each key is requested at all replicas; a key that is absent is unknown."""
        for key, hot in tuple(self.hot.items()):
            hot.elsewhere = 0.0
            hot.elsewhere = max(0.0, rates.get(key, 0.0) - hot.uses(1.0, now))

    def _has_room(self, count: int) -> bool:
        """Whether a key with this count finds a place: a free one, or that of one that is asked for less."""
        if len(self.hot) < self.most:
            return True
        coldest = min(self._sampled(), key=self.counts.count)
        if self.counts.count(coldest) >= count:
            return False
        del self.hot[coldest]
        return True

    def _sampled(self) -> Iterator[str]:
        """Some of the hot keys, others each time: the first ones, which go to the end."""
        for key in [key for key, _ in zip(self.hot, range(SAMPLE), strict=False)]:
            self.hot[key] = self.hot.pop(key)
            yield key
