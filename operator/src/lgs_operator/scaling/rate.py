"""The arrival rate now, and how noisy the arrivals are.

Pure. The rate comes from the longest window that the shorter ones don't contradict (intersection of
confidence intervals, Goldenshluger and Nemirovski 1997), so that a spike is seen at the second sample and the
noise of a steady load is not. The noise is measured: arrivals in batches are noisier than a Poisson process.
"""

from __future__ import annotations

from math import inf, sqrt
from operator import mul, sub

from lgs_operator.scaling.flow import Flow
from lgs_operator.scaling.values import value

WINDOWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
NOISE = 2.0
"""How many standard deviations of change count as noise."""
MOST_DISPERSION = 25.0
FEWEST_COUNTS = 8
STEPS_LEFT_OUT = 2


@value(frozen=True, slots=True)
class Rate:
    """Runs a second, and for how many seconds at least the rate has been so."""

    per_second: float
    seconds: float


def rate_of(flow: Flow) -> Rate:
    """The arrival rate now."""
    low, high, seconds, mean = 0.0, inf, 0.0, 0.0
    reach = min(flow.seconds, WINDOWS[-1])
    if reach <= 0:
        return Rate(0.0, 0.0)
    noise = NOISE * sqrt(dispersion(flow))
    windows = WINDOWS if reach == WINDOWS[-1] else (*(each for each in WINDOWS if each < reach), reach)
    for window in windows:
        count = flow.last(window)
        margin = noise * sqrt(count + 1.0)
        least, most = (count - margin) / window, (count + margin) / window
        if least > high or most < low:
            break
        low = least if least > low else low
        high = most if most < high else high
        seconds, mean = window, count / window
    return Rate(per_second=min(max(mean, low), high), seconds=seconds)


def dispersion(flow: Flow) -> float:
    """How much noisier the arrivals are than a Poisson process: variance over mean of the counts, at least 1.

    The variance is half the mean square of the differences of neighbouring counts (von Neumann 1941), which a
    change of the rate hardly affects; the largest differences are steps of the rate and are left out.
    """
    counts = flow.fine_counts()
    total = sum(counts)
    if len(counts) < FEWEST_COUNTS or total <= 0:
        return 1.0
    steps = list(map(sub, counts[1:], counts))
    squares: list[float] = sorted(map(mul, steps, steps))[:-STEPS_LEFT_OUT]
    variance = sum(squares) / len(squares) / 2
    return min(MOST_DISPERSION, max(1.0, variance * len(counts) / total))
