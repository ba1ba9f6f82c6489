"""The condition of what watches a service: whether Prometheus and Grafana are given what the manifest says.
Pure; it says nothing of the service itself, which works without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lgs_crds.status import Condition, Status, condition
from lgs_operator.status.diagnosis import Diagnosis


@dataclass(frozen=True)
class MonitoringView:
    """`there` are the kinds of what was made; `lacking` says of what could not be made why. Neither: none is
    wanted."""

    there: tuple[str, ...] = ()
    lacking: Diagnosis | None = None


def monitoring_ready(view: MonitoringView | None, before: Status) -> Iterator[Condition]:
    """One condition, or none where nothing is wanted. While it is not known it is as it was told last."""
    if view is None:
        yield from (each for each in before.conditions if each.type == "MonitoringReady")
    elif view.lacking is not None:
        yield condition("MonitoringReady", "False", view.lacking.reason, view.lacking.message)
    elif view.there:
        words = f"there are: {', '.join(view.there)}"
        yield condition("MonitoringReady", "True", "Monitored", words)
