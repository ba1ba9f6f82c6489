"""Rules of `spec.observability.slo`."""

from __future__ import annotations

from typing import Final

from lgs_crds.errors import Problem
from lgs_crds.model.service import Spec
from lgs_crds.rules.rule import Rule

NOTHING: Final = "must have availability, p95Seconds or both"
_PATH: Final = "spec.observability.slo"


def _promises_nothing(spec: Spec) -> Problem | None:
    slo = spec.observability.slo
    if slo is None or slo.availability is not None or slo.p95_seconds is not None:
        return None
    return Problem(_PATH, NOTHING, "none of them")


RULES: Final = (
    Rule(
        "observability.slo",
        "has(self.availability) || has(self.p95Seconds)",
        f"'{_PATH}: none of them: {NOTHING}'",
        _promises_nothing,
    ),
)
