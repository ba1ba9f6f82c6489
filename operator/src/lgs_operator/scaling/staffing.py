"""How many slots an offered load needs, so that hardly a run waits longer than it may.

Pure. Square-root staffing after Halfin and Whitt (Operations Research 29(3), 1981): with `a + beta sqrt(a)`
slots for an offered load of `a`, the share of the runs that wait longer than t mean run times is about
`exp(-beta sqrt(a) t) / (1 + beta Phi(beta) / phi(beta))`.
"""

from __future__ import annotations

from functools import lru_cache
from math import erf, exp, pi, sqrt

LATE_SHARE = 0.01
"""Share of the runs that may wait longer than `queueWaitSeconds`."""
MOST_BETA = 4.0
_HALVINGS = 10


def slots_for(load: float, run_seconds: float | None, wait_seconds: float, utilization: float) -> float:
    """Slots for a load of `load` slots: enough that `LATE_SHARE` of its runs wait longer than `wait_seconds`,
    and no fuller than `utilization`.
    """
    if load <= 0:
        return 0.0
    patience = wait_seconds / max(run_seconds or 0.0, 1e-3)
    return max(load + head_room(load, patience) * sqrt(load), load / utilization)


@lru_cache(maxsize=1024)
def _odds(beta: float) -> float:
    """Of 1 to the share of the runs that wait at all."""
    density = exp(-beta * beta / 2) / sqrt(2 * pi)
    below = (1 + erf(beta / sqrt(2))) / 2
    return 1 + beta * below / density


def head_room(load: float, patience: float) -> float:
    """The least beta, in square roots of the load, with which no more than `LATE_SHARE` of the runs waits
    longer than `patience` mean run times.
    """
    low, high = 0.0, MOST_BETA
    root = sqrt(load)
    for _ in range(_HALVINGS):
        beta = (low + high) / 2
        if exp(-beta * root * patience) / _odds(beta) > LATE_SHARE:
            low = beta
        else:
            high = beta
    return high
