"""The committed CRD is what the models give, and structural; conditions change as Kubernetes wants it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import yaml

from lgs_crds.crd import crd_yaml
from lgs_crds.generate import PATHS
from lgs_crds.status import condition, merged


def test_the_committed_files_are_up_to_date() -> None:
    for path in PATHS:
        assert path.read_text("utf-8") == crd_yaml(), f"{path}: run: python -m lgs_crds.generate"


def fields(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each field of a schema, with the way to it."""
    for name, each in node.get("properties", {}).items():
        yield f"{path}.{name}", each
        yield from fields(each, f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if isinstance(node.get(inner), dict):
            yield from fields(node[inner], path)


SCHEMA = yaml.safe_load(crd_yaml())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def test_every_field_of_the_schema_has_a_type_as_kubernetes_asks_of_a_structural_one() -> None:
    without = {
        path
        for path, node in [("", SCHEMA), *nodes(SCHEMA)]
        if not ("type" in node or node.get("x-kubernetes-int-or-string"))
    }

    assert without == set()


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each schema within a schema: of its fields, of the entries of its lists and of its values."""
    inner = [(f".{name}", each) for name, each in node.get("properties", {}).items()]
    inner += [("[]", node[of]) for of in ("items", "additionalProperties") if isinstance(node.get(of), dict)]
    for name, each in inner:
        yield f"{path}{name}", each
        yield from nodes(each, f"{path}{name}")


def test_the_versions_differ_in_nothing_but_their_texts() -> None:
    newest, *older = yaml.safe_load(crd_yaml())["spec"]["versions"]
    own = {"name": "", "storage": False}
    assert older

    for each in older:
        assert each["schema"] == without_texts(newest["schema"])
        assert each | own == newest | own | {"schema": each["schema"]}


def without_texts(node: Any) -> Any:
    if isinstance(node, list):
        return [without_texts(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        key: without_texts(value)
        for key, value in node.items()
        if key != "description" or not isinstance(value, str)
    }


def test_kubectl_can_apply_the_definition() -> None:
    longest = 256 * 1024  # of all annotations of an object; kubectl keeps in one what it applied
    assert len(json.dumps(yaml.safe_load(crd_yaml()), separators=(",", ":"))) < longest - 4096


def test_every_field_has_a_text_for_kubectl_explain() -> None:
    without = {path for path, field in fields(SCHEMA) if not field.get("description", "").strip()}

    assert without == {".metadata"}, "Kubernetes has a text for that one, and takes no other"


def test_a_text_says_the_default_and_the_unit() -> None:
    units = {"Seconds": "seconds", "Hours": "hours", "Bytes": "bytes"}

    for path, field in fields(SCHEMA):
        text, default = field.get("description", ""), field.get("default")
        if isinstance(default, str | int | float) and default != "" and path.startswith(".spec"):
            assert f"Default: {default}.".lower() in text.lower(), path
        for ending, unit in units.items():
            if path.endswith(ending) and path.startswith(".spec") and ".tolerations." not in path:
                assert unit in text.lower(), path


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
