"""What a replica learns of its cache: which keys are wanted again, which of them may be computed anew before
they expire, and how long values live where their author leaves room. Asks nobody: time is an argument, and
who asks for values only leaves a word, which is taken in later.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import asdict, dataclass
from math import ceil, log
from time import monotonic
from typing import Final, Protocol

from lgs_runtime.cache.place import Place
from lgs_runtime.cache.popularity import HotKey, Popularity
from lgs_runtime.cache.preload import USES, Budget, margin
from lgs_runtime.cache.statistics import MOST_NAMESPACES, Counts, Statistics
from lgs_runtime.cache.tuning import Tuner

MOST_UNCOUNTED: Final = 8192
"""Requests between two counts; of more the oldest are not counted."""
STEP: Final = 1.5
"""A turn makes values live so many times as long."""
WINDOW_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 30.0
"""A value whose computation ahead came to nothing is not tried again for so long."""


UNKNOWN: Final = "unknown"
"""In place of a call that is too large to be remembered."""


class Recall(Protocol):
    """A call that can be made again, outside of whatever it was first made in."""

    def begin(self, key: str, context: Context) -> bool:
        """Begins to compute the value anew; whether the call still has this key."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was changed of the cache, and why."""

    namespace: str
    ttl_factor: float
    why: str


class _Room:
    """How much longer than its author wishes the values of a namespace may live, and do."""

    def __init__(self, most: float) -> None:
        self.most = max(most, 1.0)
        self.factor = 1.0
        self.tuner = Tuner(ceil(log(self.most) / log(STEP)))
        self.hits = self.lookups = 0

    def step(self, counts: Counts) -> str | None:
        """Evaluates the window since the last step; returns why something was changed."""
        hits, lookups = counts.hits, counts.hits + counts.misses
        before, self.hits, self.lookups = (self.hits, self.lookups), hits, lookups
        turn = self.tuner.step(hits - before[0], lookups - before[1])
        if turn is None:
            return None
        self.factor = min(self.most, STEP**turn.level)
        return turn.why


class Learner:
    """Learns from the first `begin` on; before, nothing is counted. What is called for each value may be
    called from any thread, all else from one."""

    def __init__(self, statistics: Statistics, clock: Callable[[], float] = monotonic) -> None:
        self.popularity = Popularity()
        self.ahead = False
        """Whether values may be computed ahead just now."""
        self.tuned: deque[Tuned] = deque(maxlen=20)
        """The latest changes, the newest last."""
        self._statistics = statistics
        self._clock = clock
        self._asked: deque[Place] | None = None
        self._budget = Budget()
        self._rooms: dict[str, _Room] = {}
        self._next_window_at = 0.0

    def begin(self) -> None:
        """From here on askings are counted."""
        self._asked = deque(maxlen=MOST_UNCOUNTED)
        self._next_window_at = self._clock() + WINDOW_SECONDS

    def asked(self, place: Place) -> None:
        """A value was asked for."""
        if self._asked is not None:
            self._asked.append(place)

    def ttl(self, namespace: str, ttl: float, most: float) -> float:
        """How long values live that live `ttl` seconds, and `most` if that helps."""
        room = self._rooms.get(namespace)
        if room is None:
            if len(self._rooms) >= MOST_NAMESPACES:
                # What is not counted by itself can't be tuned.
                return ttl
            room = self._rooms.setdefault(namespace, _Room(most / ttl))
        return min(most, ttl * room.factor)

    def factors(self) -> Mapping[str, float]:
        """How many times as long values live, by namespace."""
        return {namespace: room.factor for namespace, room in sorted(self._rooms.items())}

    def early(self, namespace: str, key: str, ttl: float) -> float:
        """For how many seconds before its end a value may be computed anew."""
        return margin(key, ttl, self._statistics.of(namespace).cost)

    def remember(self, key: str, ttl: float, recall: Callable[[], Recall | None]) -> None:
        """How the value of a key is computed anew, if that is worth knowing; None: it can't be kept."""
        hot = self.popularity.hot.get(key)
        if hot is not None and hot.call is None:
            hot.call, hot.ttl = recall() or UNKNOWN, ttl

    def stored(self, key: str, ttl: float, left: float) -> None:
        """A value is cached that was to live `ttl` seconds, and has so many left."""
        self.popularity.stored(key, ttl, self._clock() + left)

    def gone(self, key: str) -> None:
        """A value was forgotten."""
        self.popularity.gone([key])

    def all_gone(self, prefix: str) -> None:
        """All values were forgotten whose keys begin so."""
        self.popularity.gone([key for key in tuple(self.popularity.hot) if key.startswith(prefix)])

    def may_refresh(self, key: str, ttl: float) -> bool:
        """Whether a value that is still fresh is to be computed anew now; then somebody must."""
        hot = self.popularity.hot.get(key)
        now = self._clock()
        if not self.ahead or hot is None or now < hot.not_before or hot.uses(ttl, now) < USES:
            return False
        if not self._budget.spend():
            return False
        hot.not_before = now + min(RETRY_SECONDS, ttl / 2)
        return True

    def to_json(self) -> Mapping[str, object]:
        """As people read it."""
        return {
            "hot": len(self.popularity.hot),
            "ahead": self.ahead,
            "ttl_factors": self.factors(),
            "tuned": [asdict(each) for each in self.tuned],
        }

    def count(self) -> None:
        """Counts the keys that were requested since the last time."""
        if self._asked is None:
            return
        taken = Counter(self._asked.popleft() for _ in range(len(self._asked)))
        self.popularity.asked(taken, self._clock())
        self._budget.earn(taken.total())

    def due(self, refresh_at: Callable[[str], float | None]) -> list[HotKey]:
        """The keys to be computed ahead now, where the computation is known, the most wanted first. Each
        must be allowed by `may_refresh`. `refresh_at` gives the time from which a value in memory may be
        computed anew: it may have been stored before its key was hot."""
        now, found = self._clock(), []
        for hot in self.popularity.hot.values():
            if hot.call in (None, UNKNOWN):
                continue
            early = self.early(hot.namespace, hot.key, hot.ttl)
            if hot.expires_at is None and (at := refresh_at(hot.key)) is not None:
                hot.expires_at = at + early
            until = hot.expires_at
            if until is not None and max(until - early, hot.not_before) <= now < until:
                found.append(hot)
        return sorted(found, key=lambda hot: -hot.uses(hot.ttl, now))

    def tune(self) -> list[Tuned]:
        """What is changed since the last window, if one is over."""
        if self._clock() < self._next_window_at:
            return []
        self._next_window_at = self._clock() + WINDOW_SECONDS
        found = []
        for namespace, room in tuple(self._rooms.items()):
            if (why := room.step(self._statistics.of(namespace))) is not None:
                found.append(Tuned(namespace, room.factor, why))
        self.tuned.extend(found)
        return found
