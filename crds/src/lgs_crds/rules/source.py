"""The rules that a service on a cluster must have code to run, and that only the stock
runtime has versions."""

from __future__ import annotations

from typing import Final

from lgs_crds.errors import Problem
from lgs_crds.model.service import Spec
from lgs_crds.rules.rule import Rule

NEEDS_CODE = "set image, or source.configMap for code on the stock image"

NO_VERSION = "not beside image, which has a version of its own"


def _code(spec: Spec) -> Problem | None:
    if spec.image or (spec.source and spec.source.config_map):
        return None
    return Problem("spec.image", NEEDS_CODE, "not set")


def _version(spec: Spec) -> Problem | None:
    if spec.image is None or spec.runtime_version is None:
        return None
    return Problem("spec.runtimeVersion", NO_VERSION, spec.runtime_version)


RULES: Final = (
    Rule(
        "",
        "has(self.image) || (has(self.source) && has(self.source.configMap))",
        f"'spec.image: not set: {NEEDS_CODE}'",
        _code,
        cluster_only=True,
    ),
    Rule(
        "",
        "!(has(self.image) && has(self.runtimeVersion))",
        f"'spec.runtimeVersion: ' + self.runtimeVersion + ': {NO_VERSION}'",
        _version,
    ),
)
