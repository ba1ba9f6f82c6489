"""The alerts of a service's objectives, for Prometheus. Pure.

Within a bucket of the histogram, runs are counted linearly, as in `histogram_quantile`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from lgs_crds import Spec
from lgs_operator.monitoring.alerts import Alert
from lgs_operator.monitoring.objectives import (
    DAY,
    FAST,
    FEWEST,
    HOUR,
    MINUTE,
    SLOW,
    Burn,
    Objective,
    objectives,
)
from lgs_operator.monitoring.selecting import BY_SERVICE, SERVICE, Replicas

BOUNDS: Final = (
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0),
    *(10.0, 20.0, 30.0, 60.0, 300.0, 900.0, 3600.0),
)
"""The bounds of the buckets of `lgs_run_latency_seconds`, in seconds."""
_WHO: Final = "{{ $labels.namespace }}/{{ $labels." + SERVICE + " }}"
_FAILED: Final = 'status=~"error|timeout"'
_PROMISE: Final = {"availability": "ended well", "latency": "taken no longer than promised"}
Query = Callable[[int], str]
"""A function that gives PromQL over a number of seconds."""


def slo_alerts(of: Replicas, spec: Spec) -> tuple[Alert, ...]:
    """Two alerts for each objective: its budget burns fast, or slowly."""
    return tuple(alert for each in objectives(spec) for alert in _alerts(of, each))


def alert_name(objective: Objective, *, fast: bool) -> str:
    """The name of an objective's alert, such as LGSAvailabilityBudgetBurnsFast."""
    return f"LGS{objective.name.capitalize()}BudgetBurns{'Fast' if fast else 'Slowly'}"


def _alerts(of: Replicas, objective: Objective) -> Iterator[Alert]:
    for fast, burns in ((True, FAST), (False, SLOW)):
        rates = objective.burns(burns)
        if rates:
            yield Alert(
                alert_name(objective, fast=fast),
                "critical" if fast else "warning",
                " or ".join(_burns(of, objective, burn, rate) for burn, rate in rates.items()),
                "0m",
                f"The error budget of {_WHO} for {objective.name} goes {'fast' if fast else 'steadily'}",
                "It goes {{ $value | humanize }} times as fast as "
                + f"{objective.days} days allow, in which {objective.share * 100:g} % of the runs are to "
                + f"have {_PROMISE[objective.name]}.",
            )


def _burns(of: Replicas, objective: Objective, burn: Burn, rate: float) -> str:
    """PromQL for the burn rate in the long window, while both windows are above `rate`."""
    bad, runs = _counts(of, objective)
    long, short = (
        f"{bad(each)} / ({runs(each)} > 0) / {objective.budget:g}" for each in (burn.long, burn.short)
    )
    return f"({long} > {rate:g} and {short} > {rate:g} and {bad(burn.long)} >= {FEWEST})"


def _counts(of: Replicas, objective: Objective) -> tuple[Query, Query]:
    """The queries for the bad runs and for all runs."""

    def increase(seconds: int, name: str, *more: str) -> str:
        return f"sum by ({BY_SERVICE}) (increase({of(name, *more)}[{_duration(seconds)}]))"

    def rejected(seconds: int) -> str:
        return increase(seconds, "lgs_runs_rejected_total")

    def ended(seconds: int) -> str:
        return f"({increase(seconds, 'lgs_runs_finished_total')} + {rejected(seconds)})"

    def failed(seconds: int) -> str:
        # if no run ever failed, the series does not exist yet
        some = increase(seconds, "lgs_runs_finished_total", _FAILED)
        return f"(({some} or {rejected(seconds)} * 0) + {rejected(seconds)})"

    def timed(seconds: int) -> str:
        return increase(seconds, "lgs_run_latency_seconds_count")

    def slow(seconds: int) -> str:
        return f"clamp_min({timed(seconds)} - {_within(of, objective.seconds or 0.0, seconds, increase)}, 0)"

    return (failed, ended) if objective.name == "availability" else (slow, timed)


def _within(of: Replicas, bound: float, seconds: int, increase: Callable[..., str]) -> str:
    """PromQL for the runs that took no longer than `bound` seconds."""
    below = max((each for each in BOUNDS if each <= bound), default=None)
    above = min(each for each in BOUNDS if each >= bound)

    def bucket(each: float) -> str:
        return increase(seconds, "lgs_run_latency_seconds_bucket", f'le="{each!r}"')

    if below == above:
        return bucket(above)
    low = below or 0.0
    part = f"{(bound - low) / (above - low):.9g}"
    return f"({bucket(low)} * (1 - {part}) + {bucket(above)} * {part})"


def _duration(seconds: int) -> str:
    for unit, size in (("d", DAY), ("h", HOUR)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds // MINUTE}m"
