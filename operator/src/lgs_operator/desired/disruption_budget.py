"""The PodDisruptionBudget: how many replicas a node drain may take at a time."""

from __future__ import annotations

from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.objects import owned
from lgs_operator.kube.kinds import DISRUPTION_BUDGET, Manifest
from lgs_operator.naming import selector


def disruption_budget(inputs: Inputs) -> Manifest:
    """Always wanted: by default one replica at a time, so that even a single one can be moved."""
    manifest = owned(inputs, DISRUPTION_BUDGET, "runtime")
    manifest["spec"] = {
        "maxUnavailable": inputs.service.spec.disruption.max_unavailable,
        "selector": {"matchLabels": selector(inputs.name, "runtime")},
        # a replica that is not ready serves nobody: it must not hold up a node drain
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return manifest
