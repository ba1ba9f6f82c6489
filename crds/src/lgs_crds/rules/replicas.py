"""Rules that a service on a cluster may have several replicas only with a shared database."""

from __future__ import annotations

from typing import Final

from lgs_crds.errors import Problem
from lgs_crds.model.service import Spec
from lgs_crds.rules.rule import Rule
from lgs_crds.rules.scaling import first_scheduled, scheduled_rule

NEEDS_POSTGRES = (
    "more than one replica needs persistence.postgres (its uriSecret for an address of pod.env or envFrom): "
    "without it each replica would have sessions of its own"
)
SIDE_BY_SIDE = ("Canary", "Pinned")
"""The strategies with which replicas of several revisions run at a time."""
SIDE_BY_SIDE_NEEDS_POSTGRES = "needs persistence.postgres: revisions side by side share it"
_NO_POSTGRES = "!has(self.persistence) || !has(self.persistence.postgres)"
_AUTO_PARTS = "self.scaling.mode == 'Auto' && (" + _NO_POSTGRES + ")"


def _max_needs_postgres(spec: Spec) -> Problem | None:
    highest = spec.scaling.max_replicas
    if highest is None or highest <= 1 or not _auto_on_sqlite(spec):
        return None
    return Problem("spec.scaling.maxReplicas", NEEDS_POSTGRES, highest)


def _min_needs_postgres(spec: Spec) -> Problem | None:
    lowest = spec.scaling.min_replicas
    if lowest <= 1 or not _auto_on_sqlite(spec):
        return None
    return Problem("spec.scaling.minReplicas", NEEDS_POSTGRES, lowest)


def _scheduled_needs_postgres(spec: Spec) -> Problem | None:
    if not _auto_on_sqlite(spec):
        return None
    return first_scheduled(
        spec, lambda each: ("minReplicas", NEEDS_POSTGRES) if each.min_replicas > 1 else None
    )


def _replicas_need_postgres(spec: Spec) -> Problem | None:
    if spec.scaling.mode == "Auto" or spec.replicas <= 1 or spec.persistence.postgres is not None:
        return None
    return Problem("spec.replicas", NEEDS_POSTGRES, spec.replicas)


def _side_by_side_needs_postgres(spec: Spec) -> Problem | None:
    if spec.rollout.strategy not in SIDE_BY_SIDE or spec.persistence.postgres is not None:
        return None
    return Problem("spec.rollout.strategy", SIDE_BY_SIDE_NEEDS_POSTGRES, spec.rollout.strategy)


def _auto_on_sqlite(spec: Spec) -> bool:
    return spec.scaling.mode == "Auto" and spec.persistence.postgres is None


RULES: Final = (
    Rule(
        "",
        f"!({_AUTO_PARTS}) || !has(self.scaling.maxReplicas) || self.scaling.maxReplicas <= 1",
        f"'spec.scaling.maxReplicas: %d: {NEEDS_POSTGRES}'.format([self.scaling.maxReplicas])",
        _max_needs_postgres,
        cluster_only=True,
    ),
    Rule(
        "",
        f"!({_AUTO_PARTS}) || self.scaling.minReplicas <= 1",
        f"'spec.scaling.minReplicas: %d: {NEEDS_POSTGRES}'.format([self.scaling.minReplicas])",
        _min_needs_postgres,
        cluster_only=True,
    ),
    scheduled_rule(
        "",
        _scheduled_needs_postgres,
        holds="each.minReplicas <= 1",
        rule=f"must not be above 1: {NEEDS_POSTGRES}'",
        scaling="self.scaling",
        unless=f"!({_AUTO_PARTS})",
        cluster_only=True,
    ),
    Rule(
        "",
        f"self.scaling.mode == 'Auto' || self.replicas <= 1 || !({_NO_POSTGRES})",
        f"'spec.replicas: %d: {NEEDS_POSTGRES}'.format([self.replicas])",
        _replicas_need_postgres,
        cluster_only=True,
    ),
    Rule(
        "",
        f"self.rollout.strategy == 'Rolling' || !({_NO_POSTGRES})",
        f"'spec.rollout.strategy: %s: {SIDE_BY_SIDE_NEEDS_POSTGRES}'.format([self.rollout.strategy])",
        _side_by_side_needs_postgres,
        cluster_only=True,
    ),
)
