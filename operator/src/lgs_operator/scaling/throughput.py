"""How many runs end a second at each number of slots, while all slots are full. Pure.

Little's law gives no cause: if runs take longer when slots are added, that may be due to the mix of runs, or
to what the replicas share downstream. So levels are compared only within one period of full slots, each
counted from one run time after it was reached, the end of one with the beginning of the next, and with their
noise; and quick runs must have become slower too.
"""

from __future__ import annotations

from dataclasses import replace
from math import exp, log, sqrt

from lgs_operator.scaling.values import value

MOST_LEVELS = 8
SAME = 0.1
"""Relative difference in slots below which two rounds belong to one level."""
NOISE = 1.5
"""Variance of a count of ended runs over its mean."""
DEVIATIONS = 2.0
FEWEST_RUNS = 8.0
SHORTEST_SECONDS = 10.0
WINDOW_SECONDS, WINDOW_RUNS = 60.0, 3.0
"""How long a level is counted: these seconds, or this many mean run times if that is longer."""
SLOWER_SHARE = 0.5
"""By how much at least the time of quick runs must have grown, as a share of the growth of the mean
(both as logarithms)."""


@value(frozen=True, slots=True)
class Level:
    """A period with the same number of slots, all of them full. It began at `since`; what is counted begins
    one run time later and goes up to `until`. `quick` is the lower quartile of the run times."""

    slots: int
    since: float
    seconds: float = 0.0
    ended: float = 0.0
    until: float = 0.0
    quick: float = 0.0
    draining: bool = False
    """Whether draining replicas ended runs meanwhile, which are counted too."""

    @property
    def per_second(self) -> float:
        """How many runs end a second."""
        return self.ended / self.seconds if self.seconds > 0 else 0.0

    def known(self, run_seconds: float) -> bool:
        """Whether enough was counted to compare it with another one."""
        return self.ended >= FEWEST_RUNS and self.seconds >= max(SHORTEST_SECONDS, run_seconds)


Levels = tuple[Level, ...]


@value(frozen=True, slots=True)
class Seen:
    """One round: `ended` runs within `elapsed` seconds, by `replicas` working replicas.

    `full`: runs wait and all slots are taken. `clean`: each replica answered now and the round before.
    """

    now: float
    elapsed: float
    ended: float
    replicas: int
    slots: int
    full: bool
    clean: bool
    draining: bool
    run_seconds: float
    quick: float

    @property
    def slots_each(self) -> float:
        """The slots of one replica."""
        return self.slots / max(1, self.replicas)


def counted(levels: Levels, seen: Seen) -> Levels:
    """`levels` with one more round of full slots; the last level is that of now."""
    last = levels[-1] if levels else None
    if last is None or abs(last.slots - seen.slots) > SAME * last.slots or last.draining != seen.draining:
        kept = levels if last is None or last.ended >= FEWEST_RUNS else levels[:-1]
        return (*kept, Level(seen.slots, seen.now, draining=seen.draining))[-MOST_LEVELS:]
    if not seen.clean or seen.now - last.since < seen.run_seconds + seen.elapsed:
        return levels
    seconds, ended = last.seconds + seen.elapsed, last.ended + seen.ended
    fits = min(1.0, window(seen) / seconds)
    lately = replace(last, seconds=seconds * fits, ended=ended * fits, until=seen.now, quick=seen.quick)
    return (*levels[:-1], lately)


def window(seen: Seen) -> float:
    """How many seconds a level is counted."""
    return max(WINDOW_SECONDS, WINDOW_RUNS * seen.run_seconds)


def gain(before: Level, after: Level) -> tuple[float, float]:
    """The growth of the logarithm of runs a second: the least and the most that noise allows."""
    if not (before.ended and after.ended):
        return 0.0, 0.0
    growth = log(after.per_second / before.per_second)
    noise = DEVIATIONS * sqrt(NOISE * (1 / before.ended + 1 / after.ended))
    return growth - noise, growth + noise


def flat_before(levels: Levels, seen: Seen, *, ratio: float, share: float) -> Level | None:
    """The last earlier level with at most one `ratio`-th of the present slots, if the slots added since
    brought less than `share` of the runs that they should bring, and made all runs slower; else None."""
    last = levels[-1] if levels else None
    if last is None or not last.known(seen.run_seconds) or is_old(last, seen):
        return None
    for before in reversed(levels[:-1]):
        if not before.ended:
            continue
        if last.since - before.until > window(seen):
            return None
        more = log(last.slots / before.slots)
        if more < log(ratio) or not before.known(0.0):
            continue
        slower = more - log(last.per_second / before.per_second)
        quick_too = 0 < before.quick * exp(SLOWER_SHARE * slower) <= last.quick
        if quick_too and gain(before, last)[1] < share * more:
            return before
    return None


def is_old(level: Level, seen: Seen) -> bool:
    """Whether a level has been counted for too long to compare it with the one before."""
    return level.until - level.since > window(seen) + seen.run_seconds
