"""`spec.observability`: what the service tells of its runs, and to whom."""

from __future__ import annotations

from pydantic import Field

from lgs_crds.model.alerts import Alerts
from lgs_crds.model.base import MOST_ENTRIES, Part
from lgs_crds.model.slo import Slo
from lgs_crds.texts import CollectorAddress, Key, Name


class HeadersSecret(Part):
    """A key of a Secret that holds headers: `name=value`, with commas between several and the values
    percent-encoded."""

    name: Name = Field(description="Name of the Secret.")
    key: Key = Field(default="headers", description="Key of the Secret.")


class Tracing(Part):
    """Traces of runs for OpenTelemetry: one a run, across replicas and attempts."""

    endpoint: CollectorAddress = Field(
        description="Where spans are sent by OTLP over HTTP, such as http://collector.monitoring:4318; "
        "/v1/traces is added."
    )
    headers_secret: HeadersSecret | None = Field(
        default=None, description="Headers that are sent with the spans, such as a key. Not set: none."
    )
    sample_ratio: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of the runs that are traced, where the client's traceparent does not decide it.",
    )
    redact: bool = Field(
        default=True, description="What messages, prompts, tools and errors say is left out of the spans."
    )


class Monitoring(Part):
    """What Prometheus and Grafana are given of the service, in kinds of the Prometheus operator."""

    enabled: bool = Field(default=True, description="Whether any of it is made.")
    pod_monitor: bool = Field(
        default=True, description="A PodMonitor, by which Prometheus reads the replicas."
    )
    prometheus_rule: bool = Field(default=True, description="A PrometheusRule with alerts.")
    dashboard: bool = Field(
        default=True,
        description="A ConfigMap with a dashboard, and the label by which Grafana's sidecar "
        "takes it, grafana_dashboard.",
    )
    interval_seconds: int = Field(
        default=30,
        ge=1,
        le=60,
        description="Seconds between two times that Prometheus reads a replica.",
    )
    labels: dict[str, str] = Field(
        default_factory=dict,
        max_length=MOST_ENTRIES,
        description="More labels of these objects, such as those by which your Prometheus selects.",
    )


class Observability(Part):
    """What the service tells of its runs and of itself."""

    tracing: Tracing | None = Field(default=None, description="Traces of runs. Not set: none.")
    monitoring: Monitoring | None = Field(
        default=None,
        description="What Prometheus and Grafana are given. Not set: all of it, where the cluster has the "
        "kinds of the Prometheus operator.",
    )
    alerts: Alerts | None = Field(
        default=None, description="Alerts that the operator evaluates by itself. Not set: none."
    )
    slo: Slo | None = Field(
        default=None,
        description="What the service promises: the operator tells how much of the error budget is left, and "
        "alerts while it is used up too fast. Not set: nothing.",
    )
