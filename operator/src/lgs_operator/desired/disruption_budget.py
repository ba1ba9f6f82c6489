"""The PodDisruptionBudget: how many replicas a node drain may take at a time."""

from __future__ import annotations

from lgs_operator.desired.inputs import Inputs, Wanted
from lgs_operator.desired.objects import owned
from lgs_operator.kube.kinds import DISRUPTION_BUDGET, Manifest
from lgs_operator.naming import Component, selector


def disruption_budget(inputs: Inputs) -> Manifest:
    """The budget of the replicas that execute runs. Always wanted: by default one replica at a time may go,
    so that even a single one can be moved."""
    return _budget(inputs, "runtime")


def api_disruption_budget(inputs: Inputs) -> Wanted:
    """The budget of the replicas that answer requests, counted separately. Wanted with topology Split."""
    return _budget(inputs, "api") if inputs.split else None


def _budget(inputs: Inputs, component: Component) -> Manifest:
    manifest = owned(inputs, DISRUPTION_BUDGET, component)
    manifest["spec"] = {
        "maxUnavailable": inputs.service.spec.disruption.max_unavailable,
        "selector": {"matchLabels": selector(inputs.name, component)},
        # a replica that is not ready serves nobody: it must not hold up a node drain
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return manifest
