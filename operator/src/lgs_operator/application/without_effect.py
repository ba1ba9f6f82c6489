"""Finds fields of a manifest that have no effect because of others: valid, but not what its author meant."""

from __future__ import annotations

from collections.abc import Iterator

from lgs_crds import Problem, Spec


def without_effect(spec: Spec) -> Iterator[Problem]:
    """Each field without effect, with the fields that have it instead. Pure."""
    if "replicas" in spec.model_fields_set and spec.scaling.mode == "Auto":
        way = "scaling.minReplicas and maxReplicas bound the number, or scaling.mode Manual takes it"
        yield Problem("spec.replicas", f"has no effect in scaling.mode Auto: {way}", spec.replicas)
