"""The rules between fields of a manifest, each once in Python and once in CEL for the API server.

Each module has the rules of one section or subject. `RULES` has all of them, and `broken(spec)` gives the
problems of a parsed spec. The CEL forms go into the CRD. Transition rules (what may not change) exist only in
CEL, because only the API server has the old manifest. What CEL can't measure is checked only in Python, and
reported by a condition of the service. Rules with `cluster_only` do not apply to `lgs up`, which runs several
processes on SQLite.
"""

from __future__ import annotations

from lgs_crds.errors import Problem
from lgs_crds.model.service import Spec
from lgs_crds.rules import (
    alerts,
    budgets,
    cache,
    graphs,
    persistence,
    pod,
    replicas,
    scaling,
    slo,
    source,
    topology,
)
from lgs_crds.rules.rule import Rule

RULES: tuple[Rule, ...] = (
    *scaling.RULES,
    *persistence.RULES,
    *graphs.RULES,
    *cache.RULES,
    *replicas.RULES,
    *source.RULES,
    *topology.RULES,
    *alerts.RULES,
    *slo.RULES,
    *pod.RULES,
    *budgets.RULES,
)
"""All rules, in the order in which problems are reported and in which the CRD has the rules of one object."""


def broken(spec: Spec, *, on_cluster: bool) -> tuple[Problem, ...]:
    """The problems of a spec whose single fields are right. `on_cluster` adds the rules that
    only apply there."""
    checks = (rule.check for rule in RULES if rule.check and (on_cluster or not rule.cluster_only))
    return tuple(problem for check in checks if (problem := check(spec)) is not None)
