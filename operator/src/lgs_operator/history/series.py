"""The series that are kept of each service, and how they are read from the answers of its replicas. Pure.

Counts (runs, tokens) and percentiles cover the last minute. Missing data is None, never zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from lgs_operator.alerting.measures import MEASURES, Seen
from lgs_operator.history.archive import Fold
from lgs_operator.scaling import Observation
from lgs_operator.scaling.samples import PRIORITIES, budgets_used_up


@dataclass(frozen=True, slots=True)
class Moment:
    """A service at one moment: what was observed, how many replicas are wanted, and how many alerts fire
    (None: the service has no alerts)."""

    seen: Seen
    desired: int | None
    firing: int | None = None


Read = Callable[[Moment], float | None]


@dataclass(frozen=True, slots=True)
class Series:
    """One series. `unit` is what the page writes after the number; a share is between 0 and 1."""

    unit: str
    fold: Fold
    read: Read


def _of(measure: str) -> Read:
    read = MEASURES[measure].read  # type: ignore[index]
    return lambda moment: read(moment.seen)


def _a_second(count: Callable[[Seen], float]) -> Read:
    def read(moment: Moment) -> float | None:
        seconds = moment.seen.window.seconds
        return count(moment.seen) / seconds if seconds > 0 else None

    return read


def _known(read: Callable[[Observation], float]) -> Read:
    """Reads a value from the replicas that answered; None if none did."""

    def known(moment: Moment) -> float | None:
        observation = moment.seen.observation
        return read(observation) if observation.samples else None

    return known


def _by(name: str, priority: int) -> Read:
    def read(moment: Moment) -> float | None:
        answers = (getattr(each, name) for each in moment.seen.observation.samples)
        return max((each[priority] for each in answers if each is not None), default=None)

    return read


def _p50(moment: Moment) -> float | None:
    return moment.seen.lately.latency.quantile(0.5)


def _budgets(moment: Moment) -> float | None:
    spent = budgets_used_up(moment.seen.observation.samples)
    return None if spent is None else float(len(spent))


def _desired(moment: Moment) -> float | None:
    return None if moment.desired is None else float(moment.desired)


def _firing(moment: Moment) -> float | None:
    return None if moment.firing is None else float(moment.firing)


SERIES: Final[Mapping[str, Series]] = {
    "ready": Series("replicas", "last", lambda moment: float(moment.seen.observation.ready)),
    "desired": Series("replicas", "last", _desired),
    "starting": Series("replicas", "max", lambda moment: float(moment.seen.observation.starting)),
    "slots": Series("slots", "last", _known(lambda of: float(sum(each.slots for each in of.samples)))),
    "inUse": Series("slots", "mean", _known(lambda of: float(sum(each.in_use for each in of.samples)))),
    "arrived": Series("runs/s", "mean", _a_second(lambda seen: seen.lately.arrived)),
    "finished": Series("runs/s", "mean", _a_second(lambda seen: seen.lately.finished)),
    "failed": Series("runs/s", "mean", _a_second(lambda seen: seen.lately.failed)),
    "rejected": Series("runs/s", "mean", _a_second(lambda seen: seen.lately.rejected)),
    "errorRate": Series("share", "mean", _of("errorRate")),
    **{
        f"queue{priority.title()}": Series("runs", "max", _by("waiting_by", place))
        for place, priority in enumerate(PRIORITIES)
    },
    "oldest": Series("s", "max", _of("oldestWaitSeconds")),
    "waitP95": Series("s", "mean", _of("p95WaitSeconds")),
    "p50": Series("s", "mean", _p50),
    "p95": Series("s", "mean", _of("p95LatencySeconds")),
    "p99": Series("s", "mean", _of("p99LatencySeconds")),
    "cacheHitRate": Series("share", "mean", _of("cacheHitRate")),
    "tokens": Series("tokens/min", "mean", _of("tokensPerMinute")),
    "circuitsOpen": Series("circuits", "max", _of("circuitsOpen")),
    "budgetsUsedUp": Series("budgets", "max", _budgets),
    "alertsFiring": Series("alerts", "max", _firing),
}


def read(moment: Moment) -> dict[str, float | None]:
    """The value of each series at a moment."""
    return {name: each.read(moment) for name, each in SERIES.items()}
