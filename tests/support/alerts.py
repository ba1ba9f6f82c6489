"""Services with alerts, and what their replicas answer, on a clock of the test's own."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

from lgs_crds import Spec, parse
from lgs_operator.scaling import Observation, ReplicaSample
from lgs_operator.scaling.histogram import Histogram

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BOUNDS = (1.0, 5.0, 10.0, inf)


def spec(alerts: Mapping[str, Any], **more: Any) -> Spec:
    """A spec with these alerts."""
    document = {
        "apiVersion": "lgs.dev/v1alpha1",
        "kind": "LangGraphService",
        "metadata": {"name": "support", "namespace": "team"},
        "spec": {"image": "example.com/support:1", "observability": {"alerts": dict(alerts)}, **more},
    }
    return parse(document).spec


def rule(
    metric: str = "queueDepth", operator: str = "gt", threshold: float = 10, **more: Any
) -> dict[str, Any]:
    """A rule as in a manifest."""
    return {"name": "Watched", "metric": metric, "operator": operator, "threshold": threshold, **more}


def replica(name: str = "support-1", at: float = 0.0, **counts: Any) -> ReplicaSample:
    """What a replica answers. It has run for long, unless the test says otherwise."""
    return ReplicaSample(name, at, 8, **({"started_at": -1e6} | counts))


def histogram(*counts: float) -> Histogram:
    """Of a histogram the runs at or below each of `BOUNDS`."""
    return Histogram.of(zip(BOUNDS, counts, strict=True), counts[-1] * 2.0, counts[-1])


def observed(at: float, *samples: ReplicaSample, failed: int = 0) -> Observation:
    """A round in which these answered."""
    return Observation(at=at, samples=samples, ready=len(samples) + failed, failed=failed)
