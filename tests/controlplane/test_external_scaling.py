"""What docs/scaling.md shows for an HPA and for KEDA: an API server takes both as they stand, KEDA's against
its own CustomResourceDefinition, both ask for the same number, and what can't be told is no number."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from controlplane.controlplane_server import ControlPlane
from controlplane.waiting import established
from support import prometheus
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


def test_keda_knows_each_parameter_of_its_trigger_and_has_those_that_it_needs() -> None:
    found = sorted(CACHE.glob("scalers-schema-*.yaml"))
    if not found:
        pytest.skip("the parameters of triggers are not here: tools/setup/definitions.sh brings them")
    (trigger,) = scaled_object()["spec"]["triggers"]
    scalers = yaml.safe_load(found[-1].read_text("utf-8"))["scalers"]
    (scaler,) = [each for each in scalers if each["type"] == trigger["type"]]
    known = {each["name"]: each for each in scaler["parameters"] if each.get("metadataVariableReadable")}
    needed = {name for name, each in known.items() if not each.get("optional") and "default" not in each}

    assert set(trigger["metadata"]) <= set(known)
    assert needed <= set(trigger["metadata"])
    assert all(isinstance(each, str) for each in trigger["metadata"].values())


OF = '{namespace="default",lgs_dev_service="support",pod="%s"%s}'
IN_USE = {"series": "lgs_slots_in_use" + OF % ("a", ""), "values": "5"}
OTHERS = {"series": "lgs_slots_in_use" + OF % ("b", ""), "values": "2"}
DRAINS = [
    {"series": "lgs_slots_in_use" + OF % ("c", ""), "values": "50"},
    {"series": "lgs_draining" + OF % ("c", ""), "values": "1"},
    {"series": "lgs_draining" + OF % ("a", ""), "values": "0"},
]
TWICE = {"series": "lgs_slots_in_use" + OF % ("a", ',job="another"'), "values": "5"}
WAIT = [
    {"series": "lgs_queue_depth" + OF % (pod, f',priority="{priority}"'), "values": str(number)}
    for pod in "ab"
    for priority, number in (("high", 3), ("normal", 30))
]


@prometheus.needed
@pytest.mark.parametrize(
    ("series", "told"),
    [
        ([IN_USE, OTHERS, *WAIT], [40]),
        ([IN_USE, *WAIT[:2]], [38]),
        ([IN_USE, TWICE, OTHERS, *WAIT], [40]),
        ([IN_USE, OTHERS, *DRAINS, *WAIT], [40]),
        ([IN_USE, OTHERS], []),
        ([], []),
    ],
    ids=["two replicas", "one", "read by two jobs", "a third drains", "a silent database", "none is read"],
)
def test_the_sum_is_of_the_service_and_there_is_none_where_nobody_can_tell(
    tmp_path: Path, series: list[dict[str, str]], told: list[float]
) -> None:
    (trigger,) = scaled_object()["spec"]["triggers"]
    rules = tmp_path / "rules.yaml"
    rules.write_text("groups: []")
    expected = [{"labels": "{}", "value": each} for each in told]
    asked = {"expr": trigger["metadata"]["query"], "eval_time": "0s", "exp_samples": expected}

    said = prometheus.failures(rules, [{"input_series": series, "promql_expr_test": [asked]}], tmp_path)

    assert said == ""
    assert trigger["metadata"]["ignoreNullValues"] == "false"
