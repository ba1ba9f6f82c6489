"""An alert in the form of the Prometheus operator's rules. Pure; docs/monitoring.md has a section for each.

Expressions are PromQL. In the texts `{{ $labels.… }}` and `{{ $value }}` are Prometheus' own placeholders
(https://prometheus.io/docs/prometheus/latest/configuration/template_reference/).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

RUNBOOK: Final = "docs/monitoring.md"
"""The page with a section for each alert, in the documentation of the running version."""
Severity = Literal["critical", "warning", "info"]
"""Critical: requests are being refused or data is at risk. Warning: somebody should look within the day.
Info: only alerts of a manifest, for what is good to know."""


@dataclass(frozen=True)
class Alert:
    """When to alert, and with what text. `lasts` is how long the expression must have held, such as `5m`."""

    name: str
    severity: Severity
    expression: str
    lasts: str
    summary: str
    description: str
    section: str | None = None
    """The section of the page; None: the one named like the alert."""

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
    """The groups of a rules file or of a PrometheusRule: a single one, evaluated together."""
    return [{"name": name, "rules": [each.rule() for each in alerts]}]
