"""The rule that a service on a cluster has code to run."""

from __future__ import annotations

from typing import Final

from lgs_crds.errors import Problem
from lgs_crds.model.service import Spec
from lgs_crds.rules.rule import Rule

NEEDS_CODE = "set image, or source.configMap for code on the stock image"


def _code(spec: Spec) -> Problem | None:
    if spec.image or (spec.source and spec.source.config_map):
        return None
    return Problem("spec.image", NEEDS_CODE, "not set")


RULES: Final = (
    Rule(
        "",
        "has(self.image) || (has(self.source) && has(self.source.configMap))",
        f"'spec.image: not set: {NEEDS_CODE}'",
        _code,
        cluster_only=True,
    ),
)
