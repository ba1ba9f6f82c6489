"""An alert as the Prometheus operator's rules have it. Pure; docs/monitoring.md has a section for each.

Expressions are PromQL. In the texts `{{ $labels.… }}` and `{{ $value }}` are Prometheus' own placeholders
(https://prometheus.io/docs/prometheus/latest/configuration/template_reference/).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

RUNBOOK: Final = "docs/monitoring.md"
"""Where each alert has a section, in the documents of the version that runs."""
Severity = Literal["critical", "warning", "info"]
"""Critical: requests are refused or data is at risk, now. Warning: somebody should look within the day. Info:
those of a manifest may be good to know."""


@dataclass(frozen=True)
class Alert:
    """When somebody is told what. `lasts`: for how long the expression must have held, such as `5m`."""

    name: str
    severity: Severity
    expression: str
    lasts: str
    summary: str
    description: str
    section: str | None = None
    """Of the page, where it has none of its own."""

    def rule(self) -> dict[str, Any]:
        """The alert as a rule of Prometheus."""
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.lasts,
            "labels": {"severity": self.severity},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook": f"{RUNBOOK}#{self.section or self.name.lower()}",
            },
        }


def groups(name: str, alerts: Iterable[Alert]) -> list[dict[str, Any]]:
    """The groups of a file of rules, or of a PrometheusRule: one, evaluated together."""
    return [{"name": name, "rules": [each.rule() for each in alerts]}]
