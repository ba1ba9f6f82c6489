"""`make bench BENCH_ARGS=cache`: what the cache gains by what it learns, on traces with a simulated clock.

Keys are drawn by Zipf's law, and what is asked for drifts: every two minutes a fifth of the hottest keys
changes places with others. What is measured are the replica's own parts: its memory, its learner and its
tuner, asked as the manager asks them. Computations take a second in the mean; the same seed gives the same
numbers.
"""

from __future__ import annotations

import argparse
import heapq
import math
import os
import random
import sys
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.page import put

from lgs_runtime.cache.learning import Learner
from lgs_runtime.cache.memory import MOST_BYTES, MemoryCache
from lgs_runtime.cache.place import Place
from lgs_runtime.cache.preloading import MOST_SHARED, SHARE_SECONDS
from lgs_runtime.cache.statistics import Statistics

NAMESPACE = "function"
HIT_SECONDS = 0.001
COST_SECONDS = 1.0
AT_A_TIME = 8
DRIFT_SECONDS, DRIFT_SHARE, HOTTEST = 120.0, 0.2, 0.02
PAGE = Path(__file__).parents[1] / "docs" / "cache.md"
Trace = Sequence[tuple[float, str]]


@dataclass(frozen=True, slots=True)
class Load:
    """A trace, and the cache that it meets. `rates` are (askings a second, seconds)."""

    name: str
    keys: int
    skew: float
    rates: tuple[tuple[float, float], ...]
    ttl: float
    ttl_max: float
    entries: int = 2048
    replicas: int = 1

    def trace(self, seed: int = 7) -> Trace:
        """The askings, in order."""
        return list(self._drawn(random.Random(seed)))

    def _drawn(self, drawn: random.Random) -> Iterator[tuple[float, str]]:
        weights, total = [], 0.0
        for rank in range(1, self.keys + 1):
            total += 1 / rank**self.skew
            weights.append(total)
        names = list(range(self.keys))
        drawn.shuffle(names)
        now, drifts_at, ends_at = 0.0, DRIFT_SECONDS, 0.0
        for rate, seconds in self.rates:
            ends_at += seconds
            while (now := now + drawn.expovariate(rate)) < ends_at:
                if now > drifts_at:
                    drifts_at += DRIFT_SECONDS
                    self._drift(names, drawn)
                yield now, f"{{{names[bisect(weights, drawn.random() * total)]:032x}}}"
            now = ends_at

    def _drift(self, names: list[int], drawn: random.Random) -> None:
        hottest = int(self.keys * HOTTEST)
        for _ in range(int(hottest * DRIFT_SHARE)):
            one, other = drawn.randrange(hottest), drawn.randrange(self.keys)
            names[one], names[other] = names[other], names[one]


@dataclass(frozen=True, slots=True)
class Way:
    """What of the cache is in use."""

    name: str
    keeps: bool = True
    admits: bool = False
    """Whether memory asks how often keys are asked for."""
    ahead: bool = False
    """Whether who finds a value late in its life has it computed anew."""
    preloads: bool = False
    """Whether the replica does so by itself, too."""
    tunes: bool = False
    shares: bool = True
    """Whether replicas share their counts."""


@dataclass(slots=True)
class Measured:
    """What came out."""

    seconds: list[float] = field(default_factory=list)
    hits: int = 0
    computed: int = 0
    ages: float = 0.0

    def cells(self) -> list[str]:
        """Hit rate, mean, p50, p95, computations for each asking, and the mean age of what was found."""
        ordered, count = sorted(self.seconds), len(self.seconds)
        return [
            f"{100 * self.hits / count:.1f} %",
            f"{1000 * sum(ordered) / count:.0f} ms",
            f"{1000 * ordered[count * 95 // 100]:.0f} ms",
            f"{self.computed / count:.3f}",
            f"{self.ages / self.hits:.0f} s" if self.hits else "",
        ]


class Replica:
    """One replica: its memory, and what it learns."""

    def __init__(self, load: Load, way: Way, clock: Clock) -> None:
        self.statistics = Statistics()
        self.learner = Learner(self.statistics, clock)
        self.learner.begin()
        self.memory = MemoryCache(load.entries, MOST_BYTES, clock)
        if way.admits:
            self.memory.popular = self.learner.popularity.counts.count
        self.refreshing = 0


class Clock:
    """The simulated time."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Simulation:
    """A service whose replicas meet a load, each asking at any of them; what one has computed all have, as by
    Redis."""

    def __init__(self, load: Load, way: Way) -> None:
        self.load, self.way, self.clock = load, way, Clock()
        self.replicas = [Replica(load, way, self.clock) for _ in range(load.replicas)]
        self.stored: dict[str, tuple[float, float]] = {}
        """When each shared value was computed, and until when it lives."""
        self.under_way: dict[str, float] = {}
        self.ends: list[tuple[float, str, int, bool]] = []
        self.counts: dict[str, float] = {}
        self.measured = Measured()
        self.costs, self.choices = random.Random(3), random.Random(5)

    def run(self, trace: Trace) -> Measured:
        """Plays the trace."""
        second = 0
        for now, key in trace:
            while second + 1 <= now:
                second += 1
                self._end_until(second)
                self.clock.now = second
                self._turn(second)
            self._end_until(now)
            self.clock.now = now
            self._ask(self.choices.randrange(self.load.replicas), Place(NAMESPACE, key), now)
        return self.measured

    def _ask(self, at: int, place: Place, now: float) -> None:
        replica, measured = self.replicas[at], self.measured
        replica.learner.asked(place)
        counts = replica.statistics.of(NAMESPACE)
        until = self._found(replica, place, now) if self.way.keeps else None
        if until is not None:
            counts.hits += 1
            measured.hits += 1
            measured.seconds.append(HIT_SECONDS)
            measured.ages += now - self.stored[place.key][0]
            ttl = self._ttl(replica)
            if self.way.ahead and now >= until - replica.learner.early(NAMESPACE, place.key, ttl):
                self._refresh(at, place.key, ttl)
            return
        counts.misses += 1
        if place.key in self.under_way:
            measured.seconds.append(self.under_way[place.key] - now)
        else:
            measured.seconds.append(self._compute(at, place.key, now, ahead=False))

    def _found(self, replica: Replica, place: Place, now: float) -> float | None:
        """Until when the value lives that is in memory, or, among several replicas, in Redis."""
        _, until = self.stored.get(place.key, (0.0, 0.0))
        if replica.memory.get(place.key) is not None:
            return until
        if self.load.replicas == 1 or until <= now:
            return None
        replica.memory.put(place.key, b"value", until - now)
        replica.learner.stored(place.key, self._ttl(replica), until - now)
        return until

    def _compute(self, at: int, key: str, now: float, *, ahead: bool) -> float:
        cost = self.costs.lognormvariate(math.log(COST_SECONDS) - 0.125, 0.5)
        self.measured.computed += 1
        if self.way.keeps:
            counts = self.replicas[at].statistics.of(NAMESPACE)
            counts.sets, counts.computed_seconds = counts.sets + 1, counts.computed_seconds + cost
            self.under_way[key] = now + cost
            heapq.heappush(self.ends, (now + cost, key, at, ahead))
        return cost

    def _end_until(self, now: float) -> None:
        while self.ends and self.ends[0][0] <= now:
            self.clock.now, key, at, ahead = heapq.heappop(self.ends)
            replica = self.replicas[at]
            ttl = self._ttl(replica)
            del self.under_way[key]
            self.stored[key] = (self.clock.now, self.clock.now + ttl)
            for other in self.replicas:
                if other is not replica and ahead:
                    other.memory.forget([key])
                    other.learner.gone(key)
            replica.memory.put(key, b"value", ttl)
            replica.learner.stored(key, ttl, ttl)
            replica.refreshing -= ahead

    def _refresh(self, at: int, key: str, ttl: float) -> None:
        replica = self.replicas[at]
        if key in self.under_way or replica.refreshing >= AT_A_TIME:
            return
        if replica.learner.may_refresh(key, ttl):
            replica.refreshing += 1
            self._compute(at, key, self.clock.now, ahead=True)

    def _turn(self, second: int) -> None:
        for at, replica in enumerate(self.replicas):
            learner = replica.learner
            learner.count()
            learner.ahead = self.way.ahead
            if self.way.preloads:
                for hot in learner.popularity.hot.values():
                    hot.call, hot.ttl = NAMESPACE, self._ttl(replica)
                    if hot.expires_at is None and hot.key in self.stored:
                        hot.expires_at = self.stored[hot.key][1]
                for hot in learner.due(lambda key: None):
                    self._refresh(at, hot.key, hot.ttl)
            learner.tune()
        if second % SHARE_SECONDS == 0 and self.way.shares and self.load.replicas > 1:
            self._share()

    def _share(self) -> None:
        counts = [replica.learner.popularity.take_unsent(MOST_SHARED) for replica in self.replicas]
        for one in counts:
            for key, count in one.items():
                self.counts[key] = self.counts.get(key, 0.0) + count
        for one, replica in zip(counts, self.replicas, strict=True):
            # In a mean half-life of 60 s what is counted is a minute and a half.
            rates = {key: self.counts[key] / 90.0 for key in one}
            replica.learner.popularity.set_rates(rates, self.clock.now)
        fade = 0.5 ** (SHARE_SECONDS / 60.0)
        self.counts = {key: count * fade for key, count in self.counts.items()}

    def _ttl(self, replica: Replica) -> float:
        if not self.way.tunes:
            return self.load.ttl
        return replica.learner.ttl(NAMESPACE, self.load.ttl, self.load.ttl_max)


QUESTIONS = Load("questions", 2000, 1.0, ((40.0, 1200.0),), ttl=60.0, ttl_max=300.0)
NIGHT = Load("night", 2000, 1.0, ((40.0, 1200.0), (8.0, 2400.0), (40.0, 900.0)), ttl=60.0, ttl_max=300.0)
LARGE = Load("large", 30000, 0.9, ((100.0, 900.0),), ttl=3600.0, ttl_max=3600.0)
REPLICAS = Load("replicas", 2000, 1.0, ((40.0, 1200.0),), ttl=60.0, ttl_max=300.0, replicas=4)
NONE = Way("no cache", keeps=False)
LRU = Way("LRU alone")
TINYLFU = Way("TinyLFU", admits=True)
AHEAD = Way("ours, ahead at a hit", admits=True, ahead=True)
PRELOAD = Way("ours with preload", admits=True, ahead=True, preloads=True)
TUNED = Way("ours with preload and tuning", admits=True, ahead=True, preloads=True, tunes=True)
APART = Way("ours with preload, counts of its own", admits=True, ahead=True, preloads=True, shares=False)
COLUMNS = ("", "hit rate", "mean", "p95", "computed for each asking", "age of a hit")
PARTS: Sequence[tuple[Load, str, Sequence[Way]]] = (
    (
        QUESTIONS,
        "2,000 keys, Zipf 1.0, 40 a second for 20 minutes, `ttl` 60 s, all fit into memory",
        (NONE, LRU, TINYLFU, AHEAD, PRELOAD, TUNED),
    ),
    (
        NIGHT,
        "the same, but for 40 minutes in the midst a fifth of the load; `ttl_max` 300 s",
        (NONE, LRU, TINYLFU, AHEAD, PRELOAD, TUNED),
    ),
    (
        LARGE,
        "30,000 keys, Zipf 0.9, 100 a second for 15 minutes, `ttl` an hour, memory for 2,048",
        (NONE, LRU, TINYLFU, AHEAD, PRELOAD),
    ),
    (REPLICAS, "the first, at four replicas with a Redis", (LRU, AHEAD, APART, PRELOAD)),
)


def main(arguments: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="bench cache")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/cache.md")
    options = parser.parse_args(arguments)
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Which keys share a counter depends on it.
        command = [sys.executable, "-m", "bench", "cache", *arguments]
        os.execve(sys.executable, command, {**os.environ, "PYTHONHASHSEED": "0"})
    tables = []
    for load, told, ways in PARTS:
        trace = load.trace()
        rows = [[way.name, *Simulation(load, way).run(trace).cells()] for way in ways]
        tables.append("\n".join([f"{told[0].upper()}{told[1:]}:", "", *_table(rows)]))
        print(tables[-1], end="\n\n", flush=True)
    if options.docs:
        put("bench cache", "\n\n".join(tables), PAGE)
    return 0


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (COLUMNS, ["---", *["---:"] * (len(COLUMNS) - 1)], *rows):
        yield f"| {' | '.join(row)} |"
