"""The alerts of one service: its own rules, the operator's rules if it turned them on, and those of its
objectives. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from lgs_crds import Spec
from lgs_crds.model.alerts import AlertOperator, AlertRule, Alerts, AlertSeverity, AlertWebhook
from lgs_operator.alerting.budgets import burn_of_bound
from lgs_operator.alerting.measures import MEASURES, Measure, Seen
from lgs_operator.monitoring.alerts import Alert
from lgs_operator.monitoring.objectives import FAST, SLOW, Burn, Objective, objectives
from lgs_operator.monitoring.selecting import SERVICE, Replicas
from lgs_operator.monitoring.service_alerts import FAILED_SHARE, PRIORITIES, longest_wait
from lgs_operator.monitoring.slo_alerts import alert_name

COMPARISONS: Final[Mapping[AlertOperator, tuple[Callable[[float, float], bool], str, str]]] = {
    "gt": (operator.gt, ">", "above"),
    "lt": (operator.lt, "<", "below"),
    "eq": (operator.eq, "==", "equal to"),
    "ne": (operator.ne, "!=", "not equal to"),
}
"""For each operator: its function, the sign in PromQL, and the word for it."""
FEWEST_FAILED: Final = 5
"""How many runs must have failed; fewer may be an accident."""
BURN: Final = "burnOfItsBound"
"""The metric of how fast an error budget burns, relative to the rate at which an alert fires."""
SECTION: Final = "alerts-in-the-manifest"


@dataclass(frozen=True)
class Definition:
    """One alert: it fires once the comparison of `read` with the threshold has held for `seconds`."""

    name: str
    severity: AlertSeverity
    metric: str
    comparison: AlertOperator
    threshold: float
    seconds: float
    read: Callable[[Seen], float | None]
    webhook: AlertWebhook | None = None

    @property
    def of_events(self) -> bool:
        """The `of_events` of its `Measure`; False if it has none."""
        return any(name == self.metric and each.of_events for name, each in MEASURES.items())

    def holds(self, value: float) -> bool:
        """Whether the comparison holds for this value."""
        return COMPARISONS[self.comparison][0](value, self.threshold)

    @property
    def rule(self) -> str:
        """The rule in words, such as `queueDepth above 100`."""
        return f"{self.metric} {COMPARISONS[self.comparison][2]} {_number(self.threshold)}"


def definitions(spec: Spec) -> tuple[Definition, ...]:
    """All alerts to evaluate: the manifest's rules in order, then the defaults and those of objectives."""
    alerts = spec.observability.alerts or Alerts()
    own = tuple(
        Definition(
            each.name,
            each.severity,
            each.metric,
            each.operator,
            each.threshold,
            each.seconds,
            MEASURES[each.metric].read,
            each.webhook or alerts.webhook,
        )
        for each in alerts.rules
    )
    defaults = _defaults(spec, alerts.webhook) if alerts.defaults else ()
    return (*own, *defaults, *_of_objectives(spec, alerts.webhook))


def needs_usage(spec: Spec) -> bool:
    """Whether replicas must be asked for more than the scaling law reads."""
    alerts = spec.observability.alerts
    if spec.budgets is not None:
        return True
    return alerts is not None and any(MEASURES[each.metric].usage for each in alerts.rules)


def _defaults(spec: Spec, webhook: AlertWebhook | None) -> Iterator[Definition]:
    """The rules for Prometheus in `monitoring/service_alerts.py` that can be evaluated here,
    under the same names."""
    refused = MEASURES["rejectionRate"].read
    yield Definition("LGSQueueFull", "critical", "rejectionRate", "gt", 0, 300, refused, webhook)
    waits = _waits(spec)
    yield Definition("LGSQueueWaitsLong", "warning", "waitOfItsBound", "gt", 1, 300, waits, webhook)
    if (target := spec.scaling.target.p95_latency_seconds) is not None:
        latency = MEASURES["p95LatencySeconds"].read
        yield Definition(
            "LGSLatencyOverTarget", "warning", "p95LatencySeconds", "gt", target, 600, latency, webhook
        )
    yield Definition("LGSRunsFail", "critical", "errorRate", "gt", FAILED_SHARE, 300, _failures, webhook)
    opened = MEASURES["circuitsOpen"].read
    yield Definition("LGSCircuitOpen", "warning", "circuitsOpen", "gt", 0, 300, opened, webhook)


def _of_objectives(spec: Spec, webhook: AlertWebhook | None) -> Iterator[Definition]:
    """The rules for Prometheus in `monitoring/slo_alerts.py`, under the same names."""
    for each in objectives(spec):
        for fast, burns in ((True, FAST), (False, SLOW)):
            if rates := each.burns(burns):
                name, read = alert_name(each, fast=fast), _burn(each, rates)
                severity: AlertSeverity = "critical" if fast else "warning"
                yield Definition(name, severity, BURN, "gt", 1, 0, read, webhook)


def _burn(objective: Objective, rates: Mapping[Burn, float]) -> Callable[[Seen], float | None]:
    def read(seen: Seen) -> float | None:
        return burn_of_bound(objective, rates, seen.history, seen.observation.at)

    return read


def _waits(spec: Spec) -> Callable[[Seen], float | None]:
    """A function that reads how long the oldest run has waited, relative to the longest
    wait of its priority."""
    bounds = [longest_wait(spec, priority) for priority in PRIORITIES]

    def read(seen: Seen) -> float | None:
        shown = [each.oldest_by for each in seen.observation.samples if each.oldest_by is not None]
        parts = (waited / bound for oldest in shown for waited, bound in zip(oldest, bounds, strict=True))
        return max(parts, default=None)

    return read


def _failures(seen: Seen) -> float | None:
    lately = seen.lately
    if not lately.finished:
        return None
    return lately.failed / lately.finished if lately.failed >= FEWEST_FAILED else 0.0


def own_alerts(of: Replicas, spec: Spec) -> tuple[Alert, ...]:
    """The rules of the manifest in the form for Prometheus, which has the operator's own already."""
    alerts = spec.observability.alerts
    return () if alerts is None else tuple(_alert(of, each, MEASURES[each.metric]) for each in alerts.rules)


def _number(value: float) -> str:
    """The exact number in its shortest notation."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _alert(of: Replicas, rule: AlertRule, measure: Measure) -> Alert:
    _, sign, word = COMPARISONS[rule.operator]
    threshold = _number(rule.threshold)
    return Alert(
        rule.name,
        rule.severity,
        f"({measure.query(of)}) {sign} {threshold}",
        rule.lasts,
        f"{rule.name}: {rule.metric} of {{{{ $labels.namespace }}}}/{{{{ $labels.{SERVICE} }}}}"
        f" is {word} {threshold}",
        f"{rule.metric} is {{{{ $value }}}}.",
        section=SECTION,
    )
