"""What a replica learns about its cache: which keys are requested again, which of them may be recomputed
before they expire, and how long values live where their author leaves room. No I/O: time comes from a clock
that is given, and a request for a value is only queued, to be counted later."""

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
"""How many requests are queued between two counts; beyond that the oldest are not counted."""
STEP: Final = 1.5
"""Factor by which each step of the tuner lengthens the life of values."""
WINDOW_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 30.0
"""For how many seconds a value is not recomputed again after its refresh came to nothing."""


UNKNOWN: Final = "unknown"
"""Stands for a call that is too large to be remembered."""


class Recall(Protocol):
    """A call that can be repeated outside of the run that first made it."""

    def begin(self, key: str, context: Context) -> bool:
        """Starts to recompute the value; returns whether the call still has this key."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """A change that was made to the cache, and why."""

    namespace: str
    ttl_factor: float
    why: str


class _Room:
    """How much longer than their author's `ttl` the values of a namespace may live, and do live."""

    def __init__(self, most: float) -> None:
        self.most = max(most, 1.0)
        self.factor = 1.0
        self.tuner = Tuner(ceil(log(self.most) / log(STEP)))
        self.hits = self.lookups = 0

    def step(self, counts: Counts) -> str | None:
        """Evaluates the window since the last step; returns why something was changed, None if nothing
        was."""
        hits, lookups = counts.hits, counts.hits + counts.misses
        before, self.hits, self.lookups = (self.hits, self.lookups), hits, lookups
        turn = self.tuner.step(hits - before[0], lookups - before[1])
        if turn is None:
            return None
        self.factor = min(self.most, STEP**turn.level)
        return turn.why


class Learner:
    """Learns from the first `begin` on; before that, nothing is counted. What is called for each value may be
    called from any thread, everything else from one."""

    def __init__(self, statistics: Statistics, clock: Callable[[], float] = monotonic) -> None:
        self.popularity = Popularity()
        self.ahead = False
        """Whether values may currently be computed ahead."""
        self.tuned: deque[Tuned] = deque(maxlen=20)
        """The latest changes, newest last."""
        self._statistics = statistics
        self._clock = clock
        self._asked: deque[Place] | None = None
        self._budget = Budget()
        self._rooms: dict[str, _Room] = {}
        self._next_window_at = 0.0

    def begin(self) -> None:
        """Starts to count requests."""
        self._asked = deque(maxlen=MOST_UNCOUNTED)
        self._next_window_at = self._clock() + WINDOW_SECONDS

    def asked(self, place: Place) -> None:
        """Notes a request for a value."""
        if self._asked is not None:
            self._asked.append(place)

    def ttl(self, namespace: str, ttl: float, most: float) -> float:
        """How many seconds values live whose own `ttl` is given, up to `most` if that helps."""
        room = self._rooms.get(namespace)
        if room is None:
            if len(self._rooms) >= MOST_NAMESPACES:
                # A namespace without counts of its own can't be tuned.
                return ttl
            room = self._rooms.setdefault(namespace, _Room(most / ttl))
        return min(most, ttl * room.factor)

    def factors(self) -> Mapping[str, float]:
        """The factor by which values live longer than their `ttl`, by namespace."""
        return {namespace: room.factor for namespace, room in sorted(self._rooms.items())}

    def early(self, namespace: str, key: str, ttl: float) -> float:
        """How many seconds before it expires a value may be recomputed."""
        return margin(key, ttl, self._statistics.of(namespace).cost)

    def remember(self, key: str, ttl: float, recall: Callable[[], Recall | None]) -> None:
        """Notes how to recompute the value of a key, if the key is hot. `recall` returns None for a call that
        is too large to be kept."""
        hot = self.popularity.hot.get(key)
        if hot is not None and hot.call is None:
            hot.call, hot.ttl = recall() or UNKNOWN, ttl

    def stored(self, key: str, ttl: float, left: float) -> None:
        """Notes that a value is cached that lives `ttl` seconds in all, of which `left` remain."""
        self.popularity.stored(key, ttl, self._clock() + left)

    def gone(self, key: str) -> None:
        """Notes that a value was deleted."""
        self.popularity.gone([key])

    def all_gone(self, prefix: str) -> None:
        """Notes that all values were deleted whose keys have this prefix."""
        self.popularity.gone([key for key in tuple(self.popularity.hot) if key.startswith(prefix)])

    def may_refresh(self, key: str, ttl: float) -> bool:
        """Whether a value that is still fresh is to be recomputed now. Spends from the budget: the caller
        that gets True must recompute it."""
        hot = self.popularity.hot.get(key)
        now = self._clock()
        if not self.ahead or hot is None or now < hot.not_before or hot.uses(ttl, now) < USES:
            return False
        if not self._budget.spend():
            return False
        hot.not_before = now + min(RETRY_SECONDS, ttl / 2)
        return True

    def to_json(self) -> Mapping[str, object]:
        """The data for people to read, as JSON types."""
        return {
            "hot": len(self.popularity.hot),
            "ahead": self.ahead,
            "ttl_factors": self.factors(),
            "tuned": [asdict(each) for each in self.tuned],
        }

    def count(self) -> None:
        """Counts the keys that were requested since the last call."""
        if self._asked is None:
            return
        taken = Counter(self._asked.popleft() for _ in range(len(self._asked)))
        self.popularity.asked(taken, self._clock())
        self._budget.earn(taken.total())

    def due(self, refresh_at: Callable[[str], float | None]) -> list[HotKey]:
        """The keys to be recomputed ahead now, as far as their calls are known, most requested first. Each
        must still be allowed by `may_refresh`. `refresh_at` returns the time from which a value in memory may
        be recomputed: it may have been stored before its key was hot."""
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
        """Evaluates the last window if it is over; returns the changes that this made."""
        if self._clock() < self._next_window_at:
            return []
        self._next_window_at = self._clock() + WINDOW_SECONDS
        found = []
        for namespace, room in tuple(self._rooms.items()):
            if (why := room.step(self._statistics.of(namespace))) is not None:
                found.append(Tuned(namespace, room.factor, why))
        self.tuned.extend(found)
        return found
