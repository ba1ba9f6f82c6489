"""The condition MonitoringReady: whether the objects for Prometheus and Grafana that the manifest asks for
exist. Pure; it says nothing about the service itself, which works without them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lgs_crds.status import Condition, Status, condition
from lgs_operator.status.diagnosis import Diagnosis


@dataclass(frozen=True)
class MonitoringView:
    """What monitors a service: `there` are the kinds of objects created, `lacking` says why others could not
    be created. Without either none is wanted."""

    there: tuple[str, ...] = ()
    lacking: Diagnosis | None = None


def monitoring_ready(view: MonitoringView | None, before: Status) -> Iterator[Condition]:
    """One condition, or none if nothing is wanted. Without a `view` it stays as it was reported last."""
    if view is None:
        yield from (each for each in before.conditions if each.type == "MonitoringReady")
    elif view.lacking is not None:
        yield condition("MonitoringReady", "False", view.lacking.reason, view.lacking.message)
    elif view.there:
        words = f"there are: {', '.join(view.there)}"
        yield condition("MonitoringReady", "True", "Monitored", words)
