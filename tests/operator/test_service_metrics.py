"""What the operator's page of metrics tells of each service, and for how long."""

from __future__ import annotations

from typing import Any

from prometheus_client import generate_latest

from lgs_operator.kube.kinds import ServiceKey
from lgs_operator.metrics import Metrics

SUPPORT = ServiceKey("team", "support")


def status(ready: str = "True", reason: str = "Serving") -> dict[str, Any]:
    condition = {"type": "Ready", "status": ready, "reason": reason}
    return {"desiredReplicas": 3, "readyReplicas": 2, "conditions": [condition]}


def series(metrics: Metrics) -> dict[str, str]:
    """Those by service, as Prometheus reads them."""
    lines = generate_latest(metrics.registry).decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if line.startswith("lgs_operator_service_"))


def of(name: str, more: str = "", service: str = "support") -> str:
    return f'lgs_operator_service_{name}{{{more}namespace="team",service="{service}"}}'


def test_a_service_has_its_replicas_conditions_changes_and_errors() -> None:
    metrics = Metrics()
    told = metrics.by_service

    told.reported(SUPPORT, status())
    told.bounded(SUPPORT, 10)
    told.scaled(SUPPORT, "ScaledOut")
    told.scaled(SUPPORT, "ScaledOut")
    told.failed(SUPPORT)

    labels = 'condition="Ready",namespace="team",reason="Serving",service="support",status="True"'
    assert series(metrics) == {
        of("desired_replicas"): "3.0",
        of("ready_replicas"): "2.0",
        of("max_replicas"): "10.0",
        f"lgs_operator_service_condition{{{labels}}}": "1.0",
        of("scaling_changes_total", 'code="ScaledOut",'): "2.0",
        of("reconcile_errors_total"): "1.0",
    }


def test_a_condition_has_one_series_whatever_it_said_before() -> None:
    metrics = Metrics()
    for reason in ("Starting", "ErrImagePull", "ImagePullBackOff"):
        metrics.by_service.reported(SUPPORT, status("False", reason))

    (told,) = [name for name in series(metrics) if "condition" in name]

    assert 'reason="ImagePullBackOff"' in told


def test_the_series_of_a_service_that_is_gone_go_with_it_and_nothing_late_brings_them_back() -> None:
    metrics = Metrics()
    for name in ("support", "sales"):
        metrics.by_service.reported(ServiceKey("team", name), status())

    metrics.by_service.forget(SUPPORT)
    metrics.by_service.scaled(SUPPORT, "ScaledIn")

    assert {name for name in series(metrics) if "support" in name} == set()
    assert of("ready_replicas", service="sales") in series(metrics)


def test_what_is_not_known_has_no_series() -> None:
    metrics = Metrics()

    metrics.by_service.reported(SUPPORT, {"conditions": []})
    metrics.by_service.bounded(SUPPORT, None)

    assert set(series(metrics)) == {of("reconcile_errors_total")}


def test_an_alert_has_a_series_while_the_status_has_it_whoever_wrote_that() -> None:
    metrics = Metrics()
    firing = {"name": "Busy", "severity": "critical", "state": "Firing"}
    over = {"name": "Cold", "state": "Resolved"}

    metrics.by_service.reported(SUPPORT, status() | {"alerts": [firing, over]})
    told = {name: value for name, value in series(metrics).items() if "alert" in name}
    metrics.by_service.reported(SUPPORT, status())

    busy = 'alert="Busy",namespace="team",service="support",severity="critical"'
    cold = 'alert="Cold",namespace="team",service="support",severity=""'
    assert told == {
        f"lgs_operator_service_alert_firing{{{busy}}}": "1.0",
        f"lgs_operator_service_alert_firing{{{cold}}}": "0.0",
    }
    assert not any("alert" in name for name in series(metrics))


def test_an_objective_has_what_is_left_of_its_error_budget() -> None:
    metrics = Metrics()
    left = {"availability": 0.75, "latency": -0.5}
    kept = [{"name": name, "objective": 0.9, "budgetLeft": each} for name, each in left.items()]

    metrics.by_service.reported(SUPPORT, status() | {"slo": {"objectives": kept}})

    told = {name: value for name, value in series(metrics).items() if "error_budget" in name}
    labels = 'namespace="team",objective="{}",service="support"'
    assert told == {
        f"lgs_operator_service_error_budget_left{{{labels.format(name)}}}": str(each)
        for name, each in left.items()
    }
