"""The error budgets of a service's objectives: how fast they burn, and what is left of them. Pure.

They are computed as in the rules for Prometheus (`monitoring/slo_alerts.py`), from what the operator counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lgs_operator.alerting.history import History, Outcomes
from lgs_operator.alerting.window import Counts
from lgs_operator.monitoring.objectives import DAY, FEWEST, Burn, Objective

MOST_OVERSPENT: Final = -1e6
"""The least share of a budget that is reported; lower values would say no more."""


@dataclass(frozen=True)
class Kept:
    """How an objective was kept over its window: of `runs` runs the share `measured` was good (None: there
    were none), and the share `left` of the budget is left, below 0 if more than all was used up."""

    objective: Objective
    runs: float
    measured: float | None
    left: float


def outcomes(counts: Counts, seconds: float | None) -> Outcomes:
    """The counts in terms of objectives. `seconds` is how long a run may take; None: any time."""
    timed = counts.latency.count if seconds is not None else 0.0
    within = 0.0 if seconds is None else counts.latency.below(seconds)
    return Outcomes(
        counts.finished + counts.rejected,
        counts.failed + counts.rejected,
        timed,
        max(0.0, timed - within),
    )


def kept(objective: Objective, history: History, now: float) -> Kept:
    """How an objective was kept until now."""
    runs, bad = _of(objective, history.counted(objective.days * DAY, now))
    if not runs:
        return Kept(objective, 0, None, 1.0)
    left = 1 - bad / runs / objective.budget
    return Kept(objective, runs, 1 - bad / runs, max(MOST_OVERSPENT, left))


def burn_of_bound(objective: Objective, burns: Mapping[Burn, float], history: History, now: float) -> float:
    """How fast the budget burns, relative to the rate at which an alert fires: the largest value for `burns`.
    If no run ended recently it is 0, so that an alert ends."""
    return max((_part(objective, burn, rate, history, now) for burn, rate in burns.items()), default=0.0)


def _part(objective: Objective, burn: Burn, rate: float, history: History, now: float) -> float:
    long_runs, long_bad = _of(objective, history.counted(burn.long, now))
    short_runs, short_bad = _of(objective, history.counted(burn.short, now))
    if not long_runs or not short_runs or long_bad < FEWEST:
        return 0.0
    return min(long_bad / long_runs, short_bad / short_runs) / objective.budget / rate


def _of(objective: Objective, counted: Outcomes) -> tuple[float, float]:
    if objective.name == "availability":
        return counted.runs, counted.bad
    return counted.timed, counted.slow
