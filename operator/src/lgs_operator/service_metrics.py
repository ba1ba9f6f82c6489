"""The operator's metrics by service, taken from its status: replicas, conditions, changes and errors.

A service has a few dozen series: one for each condition, kind of decision, alert and objective. They begin
with its first report and end with the service. `namespace` and `service` are the service's: the scraper must
honour them as labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

BY_SERVICE = ["namespace", "service"]


@dataclass
class _Series:
    """The metrics of one service."""

    status: Mapping[str, Any] = field(default_factory=dict)
    most: int | None = None
    changes: Counter[str] = field(default_factory=Counter)
    errors: int = 0


class ServiceMetrics(Collector):
    """The metrics of the services that this operator works on. `key` is always namespace and name."""

    def __init__(self) -> None:
        self._services: dict[tuple[str, str], _Series] = {}

    def reported(self, key: tuple[str, str], status: Mapping[str, Any]) -> None:
        """Takes the current status of the service."""
        self._services.setdefault(key, _Series()).status = status

    def bounded(self, key: tuple[str, str], most: int | None) -> None:
        """Takes the largest number of replicas that load may bring; None: load brings none."""
        self._services.setdefault(key, _Series()).most = most

    def scaled(self, key: tuple[str, str], code: str) -> None:
        """Counts a change of the number of replicas, with its reason `code`."""
        if key in self._services:
            self._services[key].changes[code] += 1

    def failed(self, key: tuple[str, str]) -> None:
        """Counts a reconciliation that failed."""
        self._services.setdefault(key, _Series()).errors += 1

    def forget(self, key: tuple[str, str]) -> None:
        """Forgets a service that is gone, and its series."""
        self._services.pop(key, None)

    def collect(self) -> Iterable[Metric]:
        """All series, for Prometheus."""
        services = tuple(self._services.items())
        yield from _replicas(services)
        conditions = GaugeMetricFamily(
            "lgs_operator_service_condition",
            "1 for what a condition of a service says now.",
            labels=[*BY_SERVICE, "condition", "status", "reason"],
        )
        changes = CounterMetricFamily(
            "lgs_operator_service_scaling_changes",
            "Changes of a service's number of replicas.",
            labels=[*BY_SERVICE, "code"],
        )
        alerts = GaugeMetricFamily(
            "lgs_operator_service_alert_firing",
            "1 for an alert of a service's manifest while it fires, 0 while it is about to or did.",
            labels=[*BY_SERVICE, "alert", "severity"],
        )
        budgets = GaugeMetricFamily(
            "lgs_operator_service_error_budget_left",
            "Share of the error budget of an objective that is left; below 0 once it is overspent.",
            labels=[*BY_SERVICE, "objective"],
        )
        errors = CounterMetricFamily(
            "lgs_operator_service_reconcile_errors",
            "Reconciliations of a service that failed.",
            labels=BY_SERVICE,
        )
        for key, series in services:
            for each in series.status.get("conditions", ()):
                conditions.add_metric([*key, each["type"], each["status"], each["reason"]], 1)
            for each in series.status.get("alerts") or ():
                alerts.add_metric(
                    [*key, each["name"], each.get("severity", "")], float(each["state"] == "Firing")
                )
            for each in (series.status.get("slo") or {}).get("objectives") or ():
                budgets.add_metric([*key, each["name"]], each["budgetLeft"])
            for code, count in series.changes.items():
                changes.add_metric([*key, code], count)
            errors.add_metric(key, series.errors)
        yield from (conditions, alerts, budgets, changes, errors)


def _replicas(services: tuple[tuple[tuple[str, str], _Series], ...]) -> Iterable[Metric]:
    """How many replicas exist, are wanted, and may exist at most. What the status does not say has no
    series."""
    desired = GaugeMetricFamily(
        "lgs_operator_service_desired_replicas", "Replicas that are wanted now.", labels=BY_SERVICE
    )
    ready = GaugeMetricFamily(
        "lgs_operator_service_ready_replicas", "Replicas that take work.", labels=BY_SERVICE
    )
    most = GaugeMetricFamily(
        "lgs_operator_service_max_replicas", "Replicas that the load may bring at most.", labels=BY_SERVICE
    )
    for key, series in services:
        told = (series.status.get("desiredReplicas"), series.status.get("readyReplicas"), series.most)
        for family, value in zip((desired, ready, most), told, strict=True):
            if value is not None:
                family.add_metric(key, value)
    return desired, ready, most
