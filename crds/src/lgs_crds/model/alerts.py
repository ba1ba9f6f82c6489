"""`spec.observability.alerts`: of which values of the service somebody is told, and by what."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, JsonValue

from lgs_crds.model.base import Part
from lgs_crds.texts import AlertName, Duration, Key, Name, WebhookAddress

MOST_RULES: Final = 50
LONGEST_SECONDS: Final = 86400
_BY_NAME: dict[str, JsonValue] = {"x-list-keys": ["name"]}
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}

AlertMetric = Literal[
    "arrivalsPerMinute",
    "cacheHitRate",
    "circuitsOpen",
    "errorRate",
    "oldestWaitSeconds",
    "p95LatencySeconds",
    "p95WaitSeconds",
    "p99LatencySeconds",
    "queueDepth",
    "rejectionRate",
    "runsOpen",
    "slotUtilization",
    "tokensPerMinute",
]
"""What a rule may be about: docs/monitoring.md says of each what it means."""
AlertOperator = Literal["gt", "lt", "eq", "ne"]
AlertSeverity = Literal["critical", "warning", "info"]


class WebhookSecret(Part):
    """A key of a Secret by which calls are signed: `whsec_` and then 24 to 64 bytes in base64."""

    name: Name = Field(description="Name of the Secret.")
    key: Key = Field(default="secret", description="Key of the Secret.")


class AlertWebhook(Part):
    """Who is called when an alert fires, and when that is over."""

    url: WebhookAddress = Field(
        description="Address of the receiver, such as https://example.com/alerts. Which addresses the "
        "operator calls its administrator says."
    )
    secret: WebhookSecret = Field(description="By which each call is signed, as by Standard Webhooks.")


class AlertRule(Part):
    """An alert: it fires when its metric has compared so with the threshold for long enough."""

    name: AlertName = Field(description="Name of the alert. Those that begin with LGS are the operator's.")
    metric: AlertMetric = Field(description="What is measured; docs/monitoring.md says what each means.")
    operator: AlertOperator = Field(
        description="How the metric must compare with the threshold: gt (above it), lt (below it), eq or ne."
    )
    threshold: float = Field(ge=0, le=1e12, description="What the metric is compared with, in its unit.")
    lasts: Duration = Field(
        default="0s", alias="for", description="For how long it must have been so, such as 30s, 5m or 1h."
    )
    severity: AlertSeverity = Field(default="warning", description="How urgent it is.")
    webhook: AlertWebhook | None = Field(
        default=None, description="Who is called for this one. Not set: webhook of all alerts."
    )

    @property
    def seconds(self) -> float:
        """For how long it must have been so."""
        return float(int(self.lasts[:-1]) * _UNITS[self.lasts[-1]])


class Alerts(Part):
    """Alerts that the operator evaluates by itself, with or without a Prometheus."""

    defaults: bool = Field(
        default=False,
        description="Whether the operator's own alerts about load, waiting, latency, failed runs and "
        "circuits are evaluated, too.",
    )
    webhook: AlertWebhook | None = Field(
        default=None, description="Who is called for alerts without one of their own. Not set: nobody."
    )
    rules: list[AlertRule] = Field(
        default_factory=list,
        max_length=MOST_RULES,
        description="Alerts of your own.",
        json_schema_extra=_BY_NAME,
    )
