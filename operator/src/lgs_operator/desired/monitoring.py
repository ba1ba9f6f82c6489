"""The objects that monitor a service: a PodMonitor, a PrometheusRule and a dashboard, as its manifest says.
Pure. Whether the cluster has these kinds is not known here."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from lgs_crds.model.observability import Monitoring
from lgs_operator.alerting.definitions import own_alerts
from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.objects import owned
from lgs_operator.kube.kinds import CONFIG_MAP, POD_MONITOR, PROMETHEUS_RULE, Kind, Manifest
from lgs_operator.monitoring.alerts import groups
from lgs_operator.monitoring.grafana import dashboard_json
from lgs_operator.monitoring.selecting import Replicas
from lgs_operator.monitoring.service_alerts import service_alerts
from lgs_operator.monitoring.service_board import service_board
from lgs_operator.naming import COMPONENT_LABEL, REPLICAS, SERVICE_LABEL, Component

GRAFANA_LABEL: Final = "grafana_dashboard"
"""The label by which the sidecar of Grafana's chart selects ConfigMaps, unless it is configured otherwise."""


def kinds_of(monitoring: Monitoring) -> tuple[Kind, ...]:
    """The kinds that a manifest asks for."""
    asked = {
        POD_MONITOR: monitoring.pod_monitor,
        PROMETHEUS_RULE: monitoring.prometheus_rule,
        CONFIG_MAP: monitoring.dashboard,
    }
    return tuple(kind for kind, is_asked in asked.items() if is_asked and monitoring.enabled)


def watching(inputs: Inputs, monitoring: Monitoring, kinds: tuple[Kind, ...]) -> list[Manifest]:
    """The wanted objects of these kinds. Without a PodMonitor, the replicas are scraped by other means."""
    of = Replicas(inputs.namespace, inputs.name, scraped_here=POD_MONITOR in kinds)
    made = {
        POD_MONITOR: lambda: pod_monitor(inputs, monitoring),
        PROMETHEUS_RULE: lambda: prometheus_rule(inputs, monitoring, of),
        CONFIG_MAP: lambda: dashboard(inputs, monitoring, of),
    }
    return [made[kind]() for kind in kinds]


def pod_monitor(inputs: Inputs, monitoring: Monitoring) -> Manifest:
    """A PodMonitor that has Prometheus scrape all replicas, with the service as a label of each series, by
    which the queries select (`monitoring/selecting.py`)."""
    manifest = _labelled(inputs, monitoring, POD_MONITOR, "runtime")
    components = {"key": COMPONENT_LABEL, "operator": "In", "values": list(REPLICAS)}
    manifest["spec"] = {
        "selector": {"matchLabels": {SERVICE_LABEL: inputs.name}, "matchExpressions": [components]},
        "podTargetLabels": [SERVICE_LABEL, COMPONENT_LABEL],
        "podMetricsEndpoints": [
            {"port": "http", "path": "/metrics", "interval": f"{monitoring.interval_seconds}s"}
        ],
    }
    return manifest


def prometheus_rule(inputs: Inputs, monitoring: Monitoring, of: Replicas) -> Manifest:
    """A PrometheusRule with the alerts that can fire for this manifest, and the alerts that it defines."""
    manifest = _labelled(inputs, monitoring, PROMETHEUS_RULE, "runtime")
    spec, name = inputs.service.spec, f"lgs-{inputs.namespace}-{inputs.name}"
    own = own_alerts(of, spec)
    made = groups(name, service_alerts(of, spec)) + (groups(f"{name}-own", own) if own else [])
    manifest["spec"] = {"groups": made}
    return manifest


def dashboard(inputs: Inputs, monitoring: Monitoring, of: Replicas) -> Manifest:
    """A ConfigMap for Grafana's sidecar. The file name is unique, as the sidecar puts all into one folder."""
    manifest = _labelled(inputs, monitoring, CONFIG_MAP, "dashboard")
    manifest["metadata"]["labels"].setdefault(GRAFANA_LABEL, "1")
    manifest["data"] = {f"{inputs.namespace}-{inputs.name}.json": _model(of)}
    return manifest


@lru_cache(maxsize=256)
def _model(of: Replicas) -> str:
    """The dashboard's JSON. Cached, as making it takes as long as all other objects of a reconciliation."""
    return dashboard_json(service_board(of))


def _labelled(inputs: Inputs, monitoring: Monitoring, kind: Kind, component: Component) -> Manifest:
    manifest = owned(inputs, kind, component)
    # the operator's own labels, by which it knows its objects, win
    manifest["metadata"]["labels"] = {**monitoring.labels, **manifest["metadata"]["labels"]}
    return manifest
