"""How many runs end a second with how many slots, while all slots are full. Pure.

Little's law says nothing of a cause: that runs take longer when slots are added may be the mix of runs, or
what all share behind the replicas. So levels are compared only within one time of full slots, from one run
time after each was reached, the end of the one with the beginning of the other, and with their noise; and the
quick ones among the runs must have become slower, too.
"""

from __future__ import annotations

from dataclasses import replace
from math import exp, log, sqrt

from lgs_operator.scaling.values import value

MOST_LEVELS = 8
SAME = 0.1
"""Slots that differ by less are one level."""
NOISE = 1.5
"""Variance of a count of ended runs over its mean."""
DEVIATIONS = 2.0
FEWEST_RUNS = 8.0
SHORTEST_SECONDS = 10.0
WINDOW_SECONDS, WINDOW_RUNS = 60.0, 3.0
"""For how long a level is counted: seconds, or mean run times if these are more."""
SLOWER_SHARE = 0.5
"""As the logarithm of the mean, so much at least grows that of what the quick runs take."""


@value(frozen=True, slots=True)
class Level:
    """A time in which the slots, all of them full, were the same: since when, and what was counted lately,
    from one run time on and up to `until`. `quick` is what a quarter of the runs took at most."""

    slots: int
    since: float
    seconds: float = 0.0
    ended: float = 0.0
    until: float = 0.0
    quick: float = 0.0
    draining: bool = False
    """Others ended the runs that they had meanwhile, and these count, too."""

    @property
    def per_second(self) -> float:
        """Runs that end a second."""
        return self.ended / self.seconds if self.seconds > 0 else 0.0

    def known(self, run_seconds: float) -> bool:
        """Whether enough was counted to compare it with another one."""
        return self.ended >= FEWEST_RUNS and self.seconds >= max(SHORTEST_SECONDS, run_seconds)


Levels = tuple[Level, ...]


@value(frozen=True, slots=True)
class Seen:
    """One round: `ended` runs within `elapsed` seconds, by so many working `replicas`.

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
        """Slots of one replica."""
        return self.slots / max(1, self.replicas)


def counted(levels: Levels, seen: Seen) -> Levels:
    """`levels` with a round of full slots more; the last one is that of now."""
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
    """For how many seconds a level is counted."""
    return max(WINDOW_SECONDS, WINDOW_RUNS * seen.run_seconds)


def gain(before: Level, after: Level) -> tuple[float, float]:
    """By how much the logarithm of the runs a second grew: the least and the most, by chance."""
    if not (before.ended and after.ended):
        return 0.0, 0.0
    growth = log(after.per_second / before.per_second)
    noise = DEVIATIONS * sqrt(NOISE * (1 / before.ended + 1 / after.ended))
    return growth - noise, growth + noise


def flat_before(levels: Levels, seen: Seen, *, ratio: float, share: float) -> Level | None:
    """The last of the earlier levels with at most the `ratio`-th part of the slots of now, if what came since
    brought less than `share` of what as many slots more should bring, and made all runs slower."""
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
    """Whether a level has been counted for as long as it is compared with the one before."""
    return level.until - level.since > window(seen) + seen.run_seconds
