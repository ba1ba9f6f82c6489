"""Rules of `spec.observability.alerts`. The API server itself ensures that names are unique, by the
type of the list."""

from __future__ import annotations

from typing import Final

from lgs_crds.errors import Problem
from lgs_crds.model.alerts import LONGEST_SECONDS, AlertRule
from lgs_crds.model.service import Spec
from lgs_crds.rules.rule import Rule

OURS: Final = "LGS"
"""The prefix of the names of the operator's own alerts."""
_PATH: Final = "spec.observability.alerts.rules"


def _rules(spec: Spec) -> list[AlertRule]:
    alerts = spec.observability.alerts
    return [] if alerts is None else alerts.rules


def twice(spec: Spec) -> Problem | None:
    """The problem of a name that two rules have."""
    names: set[str] = set()
    for index, each in enumerate(_rules(spec)):
        if each.name in names:
            return Problem(f"{_PATH}[{index}].name", "must occur once", each.name)
        names.add(each.name)
    return None


def ours(spec: Spec) -> Problem | None:
    """The problem of a name that an alert of the operator might have."""
    for index, each in enumerate(_rules(spec)):
        if each.name.startswith(OURS):
            return Problem(f"{_PATH}[{index}].name", f"must not begin with {OURS}", each.name)
    return None


def too_long(spec: Spec) -> Problem | None:
    """The problem of a rule with so long a `for` that it could hardly ever fire."""
    for index, each in enumerate(_rules(spec)):
        if each.seconds > LONGEST_SECONDS:
            return Problem(f"{_PATH}[{index}].for", "must be at most 24h", each.lasts)
    return None


RULES: Final = (
    Rule("observability", None, None, twice),
    Rule(
        "observability",
        "!has(self.alerts) || !has(self.alerts.rules)"
        f" || self.alerts.rules.all(each, !each.name.startsWith('{OURS}'))",
        f"'{_PATH}: name of each rule must not begin with {OURS}'",
        ours,
    ),
    Rule("observability", None, None, too_long),
)
