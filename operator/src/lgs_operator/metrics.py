"""The operator's own metrics, each named for what it counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from lgs_operator.service_metrics import ServiceMetrics


class Metrics:
    """One set of metrics per process, on its own registry."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.by_service = ServiceMetrics()
        registry.register(self.by_service)
        self.services = Gauge("lgs_operator_services", "Services that are known.", registry=registry)
        self.due = Gauge("lgs_operator_due", "Services that wait to be reconciled.", registry=registry)
        self.leading = Gauge("lgs_operator_leading", "1 when this replica acts.", registry=registry)
        self.stays_out = Gauge(
            "lgs_operator_stays_out",
            "1 while another installation serves this operator's class, so that this one does nothing.",
            registry=registry,
        )
        self.reconciles = Counter(
            "lgs_operator_reconciles",
            "Reconciliations of a service, by result.",
            ["result"],
            registry=registry,
        )
        self.reconcile_seconds = Histogram(
            "lgs_operator_reconcile_seconds", "Time of one reconciliation of a service.", registry=registry
        )
        self.stock_rollouts = Gauge(
            "lgs_operator_stock_rollouts",
            "Services that go over to another stock image, have failed to, or wait for their turn.",
            ["state"],
            registry=registry,
        )
        self.writes = Counter(
            "lgs_operator_writes", "Objects written or deleted, by kind.", ["kind", "verb"], registry=registry
        )
        self.drift = Counter(
            "lgs_operator_drift_repaired", "Objects that were changed by others.", ["kind"], registry=registry
        )
        self.internal_errors = Counter(
            "lgs_operator_internal_errors",
            "Errors of the operator itself at one service; others are not concerned.",
            ["where"],
            registry=registry,
        )
        self.backup_ready = Gauge(
            "lgs_operator_backup_ready",
            "1 while backups of a service are made as its manifest says, 0 when one failed or none was kept.",
            ["namespace", "service"],
            registry=registry,
        )
        self.backup_last_success = Gauge(
            "lgs_operator_backup_last_success_timestamp_seconds",
            "The moment that the last backup of a service holds the database of.",
            ["namespace", "service"],
            registry=registry,
        )
        self.scrapes = Counter(
            "lgs_operator_scrapes",
            "Replicas asked for their metrics, by result.",
            ["result"],
            registry=registry,
        )
        self.alert_webhooks = Counter(
            "lgs_operator_alert_webhooks",
            "Calls of receivers of alerts, by result.",
            ["result"],
            registry=registry,
        )
        self.decisions = Counter(
            "lgs_operator_scaling_changes", "Changes of the number of replicas.", ["code"], registry=registry
        )
