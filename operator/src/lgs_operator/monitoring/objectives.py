"""The objectives of a service (`spec.observability.slo`), and how fast an error budget may be used up before
an alert fires. Pure.

Multi-window, multi-burn-rate alerts as in Google's Site Reliability Workbook, chapter "Alerting on SLOs"
(https://sre.google/workbook/alerting-on-slos/): an alert fires while a share of the whole budget is used up
in a long window and the short window shows that this goes on, so that the alert ends soon after its cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from lgs_crds import Spec

Name = Literal["availability", "latency"]
P95: Final = 0.95
FEWEST: Final = 5
"""How many bad runs a long window must have; fewer may be an accident."""
MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass(frozen=True)
class Burn:
    """A burn rate: `share` of the budget is used up in `long` seconds; the last `short` seconds show
    whether it goes on."""

    share: float
    long: int
    short: int

    def rate(self, days: int) -> float:
        """How many times faster this is than the budget of `days` allows; at least 1, as
        less is no problem."""
        return max(1.0, self.share * days * DAY / self.long)


FAST: Final = (Burn(0.02, HOUR, 5 * MINUTE), Burn(0.05, 6 * HOUR, 30 * MINUTE))
SLOW: Final = (Burn(0.1, DAY, 2 * HOUR), Burn(0.1, 3 * DAY, 6 * HOUR))
"""The burn rates of the workbook; with a window of 30 days, `FAST` and `SLOW` are 14.4, 6, 3 and 1."""


@dataclass(frozen=True)
class Objective:
    """An objective: `share` of the runs in `days` must be good. A run that takes longer than
    `seconds` is not."""

    name: Name
    share: float
    days: int
    seconds: float | None = None

    @property
    def budget(self) -> float:
        """The share of the runs that may be bad."""
        return round(1 - self.share, 9)

    def burns(self, burns: tuple[Burn, ...]) -> Mapping[Burn, float]:
        """The burns that can be reached, with their rates: never more than all runs are bad."""
        rates = {each: each.rate(self.days) for each in burns}
        return {each: rate for each, rate in rates.items() if rate * self.budget < 1}


def objectives(spec: Spec) -> tuple[Objective, ...]:
    """The objectives of the manifest."""
    slo = spec.observability.slo
    if slo is None:
        return ()
    found = []
    if slo.availability is not None:
        found.append(Objective("availability", slo.availability, slo.days))
    if slo.p95_seconds is not None:
        found.append(Objective("latency", P95, slo.days, slo.p95_seconds))
    return tuple(found)
