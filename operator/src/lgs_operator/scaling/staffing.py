"""How many slots an offered load needs, so that hardly a run waits longer than it may.

Pure. Square-root staffing after Halfin and Whitt (Operations Research 29(3), 1981): with `a + beta sqrt(a)`
slots for an offered load of `a`, the share of runs that wait longer than t mean run times is about
`exp(-beta sqrt(a) t) / (1 + beta Phi(beta) / phi(beta))`.
"""

from __future__ import annotations

from bisect import bisect_left
from math import erf, exp, log, pi, sqrt

LATE_SHARE = 0.01
"""The share of runs that may wait longer than `queueWaitSeconds`."""
MOST_BETA, STEPS = 4.0, 1024
"""The largest beta, and the number of steps up to it."""


def slots_for(load: float, run_seconds: float | None, wait_seconds: float, utilization: float) -> float:
    """Slots for a load of `load` slots: enough that at most `LATE_SHARE` of its runs wait longer than
    `wait_seconds`, and that they are no fuller than `utilization`.
    """
    if load <= 0:
        return 0.0
    patience = wait_seconds / max(run_seconds or 0.0, 1e-3)
    return max(load + head_room(load, patience) * sqrt(load), load / utilization)


def _odds(beta: float) -> float:
    """One over the share of runs that wait at all."""
    density = exp(-beta * beta / 2) / sqrt(2 * pi)
    below = (1 + erf(beta / sqrt(2))) / 2
    return 1 + beta * below / density


_BETAS = tuple(MOST_BETA * step / STEPS for step in range(1, STEPS + 1))
_IMPATIENCE = tuple(log(LATE_SHARE * _odds(beta)) / beta for beta in _BETAS[:-1])
"""The patience that each beta but the last needs, in mean run times times the root of the load; negated, so
that the values ascend."""


def head_room(load: float, patience: float) -> float:
    """The least beta, in square roots of the load, with which no more than `LATE_SHARE` of the runs waits
    longer than `patience` mean run times.
    """
    return _BETAS[bisect_left(_IMPATIENCE, -sqrt(load) * patience)]
