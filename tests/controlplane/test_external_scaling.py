"""What docs/scaling.md shows for an HPA and for KEDA: an API server takes both as they stand, KEDA's against
its own CustomResourceDefinition, and both ask for the same number."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane.controlplane_server import ControlPlane
from controlplane.waiting import established
from support.documents import ROOT, shown

pytestmark = pytest.mark.controlplane
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lgs-toolchain" / "keda"
PAGE = "scaling.md"
SERVICE = ROOT / "examples" / "support" / "service.yaml"
SHARE_IN_USE = 0.7
"""Of the slots of a replica, as the page says."""


def hpa() -> dict[str, Any]:
    return shown(PAGE, "kind", "HorizontalPodAutoscaler")


def scaled_object() -> dict[str, Any]:
    return shown(PAGE, "kind", "ScaledObject")


def taken(plane: ControlPlane, namespace: str, manifest: dict[str, Any]) -> str:
    """What the API server says of it; unknown fields are refused."""
    return plane.run(
        *("apply", "-n", namespace, "--dry-run=server", "--validate=strict", "-f", "-"),
        stdin=json.dumps(manifest),
    )


async def test_an_api_server_takes_both_as_they_are_shown(plane: ControlPlane, namespace: str) -> None:
    assert "created" in taken(plane, namespace, hpa())
    found = sorted(CACHE.glob("scaledobjects-*.yaml"))
    if not found:
        pytest.skip("the definition of ScaledObject is not here: tools/setup/definitions.sh brings it")
    plane.run("apply", "--server-side", "-f", str(found[-1]))
    await established(plane, "scaledobjects.keda.sh")
    assert "created" in taken(plane, namespace, scaled_object())


def test_both_ask_for_the_same_number_of_the_same_service() -> None:
    (metric,) = hpa()["spec"]["metrics"]
    (trigger,) = scaled_object()["spec"]["triggers"]
    (rule,) = shown(PAGE, "externalRules")["externalRules"]
    labels = metric["external"]["metric"]["selector"]["matchLabels"]
    matchers = ",".join(f'{name}="{value}"' for name, value in {"namespace": "default", **labels}.items())

    assert rule["name"]["as"] == metric["external"]["metric"]["name"]
    assert trigger["metadata"]["query"] == rule["metricsQuery"].replace("<<.LabelMatchers>>", matchers)
    assert trigger["metadata"]["threshold"] == metric["external"]["target"]["averageValue"]
    assert hpa()["spec"]["scaleTargetRef"] == scaled_object()["spec"]["scaleTargetRef"]
    service = yaml.safe_load(SERVICE.read_text("utf-8"))
    assert hpa()["spec"]["scaleTargetRef"]["name"] == service["metadata"]["name"]
    each = SHARE_IN_USE * service["spec"]["workers"]["concurrency"]
    assert float(metric["external"]["target"]["averageValue"]) == pytest.approx(each)
