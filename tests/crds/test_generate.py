"""The committed CRD is what the models give, and structural; conditions change as Kubernetes wants it."""

from __future__ import annotations

from datetime import UTC, datetime

import yaml

from lgs_crds.crd import crd_yaml
from lgs_crds.generate import PATHS
from lgs_crds.status import condition, merged


def test_the_committed_files_are_up_to_date() -> None:
    for path in PATHS:
        assert path.read_text("utf-8") == crd_yaml(), f"{path}: run: python -m lgs_crds.generate"


def test_every_object_of_the_schema_is_structural() -> None:
    version = yaml.safe_load(crd_yaml())["spec"]["versions"][0]

    def check(node: dict[str, object], path: str) -> None:
        is_typed = "type" in node or node.get("x-kubernetes-int-or-string")
        assert is_typed, f"{path} has no type"
        for name, each in node.get("properties", {}).items():  # type: ignore[attr-defined]
            check(each, f"{path}.{name}")

    check(version["schema"]["openAPIV3Schema"], "")


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    first, later = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    before = [
        each.model_dump(by_alias=True)
        for each in merged([], [condition("Ready", "False", "Starting")], generation=1, at=first)
    ]

    same = merged(before, [condition("Ready", "False", "ImagePullBackOff")], generation=2, at=later)
    changed = merged(before, [condition("Ready", "True", "Serving")], generation=2, at=later)

    assert (same[0].last_transition_time, same[0].observed_generation) == ("2026-01-01T00:00:00Z", 2)
    assert changed[0].last_transition_time == "2026-01-02T00:00:00Z"
