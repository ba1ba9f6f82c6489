"""The operator's page of metrics, as Prometheus' own tool judges it."""

from __future__ import annotations

from prometheus_client import generate_latest

from lgs_operator.metrics import Metrics
from support import prometheus


@prometheus.needed
def test_prometheus_own_tool_finds_nothing_wrong_with_the_operators_page() -> None:
    metrics = Metrics()
    condition = {"type": "Ready", "status": "True", "reason": "Serving"}
    told = {"desiredReplicas": 1, "readyReplicas": 1, "conditions": [condition]}
    metrics.by_service.reported(("team", "support"), told)
    metrics.by_service.bounded(("team", "support"), 10)
    metrics.by_service.scaled(("team", "support"), "ScaledOut")

    assert prometheus.complaints(generate_latest(metrics.registry).decode()) == []
