"""Rules of `spec.topology`: what two kinds of replicas require, and what requires two kinds."""

from __future__ import annotations

from typing import Final

from lgs_crds.errors import Problem
from lgs_crds.model.service import Spec
from lgs_crds.rules.rule import Rule

NEEDS_POSTGRES: Final = (
    "needs persistence.postgres: replicas that answer requests and replicas that execute runs share it"
)


NEEDS_SPLIT: Final = (
    "must be at least 1 unless topology is Split: somebody must be there to take the first request"
)


ROLE: Final = "LGS_ROLE"
NOT_BY_HAND: Final = (
    f"must not be {ROLE}: topology says what replicas are there for, and they would all be of one kind"
)


def _role_by_hand(spec: Spec) -> Problem | None:
    for index, each in enumerate(spec.pod.env):
        if each.name == ROLE:
            return Problem(f"spec.pod.env[{index}].name", NOT_BY_HAND, ROLE)
    return None


def _zero_needs_split(spec: Spec) -> Problem | None:
    if spec.scaling.min_replicas > 0 or spec.topology == "Split":
        return None
    return Problem("spec.scaling.minReplicas", NEEDS_SPLIT, spec.scaling.min_replicas)


def _split_needs_postgres(spec: Spec) -> Problem | None:
    if spec.topology != "Split" or spec.persistence.postgres is not None:
        return None
    return Problem("spec.topology", NEEDS_POSTGRES, spec.topology)


RULES: Final = (
    Rule(
        "",
        "self.topology != 'Split' || (has(self.persistence) && has(self.persistence.postgres))",
        f"'spec.topology: ' + self.topology + ': {NEEDS_POSTGRES}'",
        _split_needs_postgres,
        cluster_only=True,
    ),
    Rule(
        "",
        "self.scaling.minReplicas > 0 || self.topology == 'Split'",
        f"'spec.scaling.minReplicas: %d: {NEEDS_SPLIT}'.format([self.scaling.minReplicas])",
        _zero_needs_split,
    ),
    Rule(
        "pod",
        f"!has(self.env) || self.env.all(each, each.name != '{ROLE}')",
        f"'spec.pod.env: name of each entry {NOT_BY_HAND}'",
        _role_by_hand,
    ),
)
