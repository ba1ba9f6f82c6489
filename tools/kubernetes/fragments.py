"""Writes crds/src/lgs_crds/fragments.json: the schemas of those parts of a pod that a manifest may hold, as
Kubernetes' own API server has them, in the structural form that a CustomResourceDefinition takes.

    PYTHONPATH=tests .venv/bin/python tools/kubernetes/fragments.py

Needs the API server of the tests (`tools/kubernetes/build.sh apiserver`). Run it when Kubernetes' version
changes.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from controlplane.controlplane_server import binaries, control_plane

OUT: Final = Path(__file__).resolve().parents[2] / "crds" / "src" / "lgs_crds" / "fragments.json"
KINDS: Final = {
    "api/v1": (
        "Affinity",
        "EnvFromSource",
        "EnvVarSource",
        "ResourceRequirements",
        "Toleration",
        "TopologySpreadConstraint",
    ),
    "apis/networking.k8s.io/v1": ("NetworkPolicyPeer",),
}
PASSED_ON: Final = (
    "type",
    "format",
    "enum",
    "required",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
)
NUMBER: Final = r"(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"
# What Kubernetes can read: its own pattern has exponents such as 1e.5 too, and numbers of any length.
QUANTITY: Final = {
    "pattern": rf"^(\+|-)?{NUMBER}(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?[0-9]{{1,3}}))?$",
    "maxLength": 64,
}
INT_OR_STRING: Final = {
    "x-kubernetes-int-or-string": True,
    "anyOf": [{"type": "integer"}, {"type": "string"}],
}
NAMES: Final = {
    "EnvFromSource": ("secretRef", "configMapRef"),
    "EnvVarSource": ("secretKeyRef", "configMapKeyRef"),
}
"""Fields that name an object in the service's namespace; Kubernetes says so only when a pod starts."""
OBJECT_NAME: Final = {"pattern": r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "maxLength": 253}


def structural(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A schema of OpenAPI v3 with its references in place, and nothing that a CRD refuses."""
    words = node.get("description")
    node = resolved(node, definitions)
    if node.get("title") == "Quantity":
        found: dict[str, Any] = INT_OR_STRING | QUANTITY
    elif node.get("format") == "int-or-string":
        found = dict(INT_OR_STRING)
    else:
        found = {key: node[key] for key in PASSED_ON if key in node}
        if "properties" in node:
            found["properties"] = {
                name: structural(each, definitions) for name, each in sorted(node["properties"].items())
            }
        if isinstance(node.get("additionalProperties"), dict):
            found["additionalProperties"] = structural(node["additionalProperties"], definitions)
        if "items" in node:
            found["items"] = structural(node["items"], definitions)
    told = words or node.get("description")
    return ({"description": first_sentence(told)} if told else {}) | found


def resolved(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref") or next(
        (each["$ref"] for each in node.get("allOf", ()) if "$ref" in each), None
    )
    if reference is None:
        return node
    name = reference.rsplit("/", 1)[1]
    return definitions[name] | {"title": name.rsplit(".", 1)[1]}


def first_sentence(text: str) -> str:
    return re.split(r"(?<=[.:])\s", " ".join(text.split()), maxsplit=1)[0]


def main() -> int:
    folder = binaries()
    if folder is None:
        sys.stderr.write("no kube-apiserver: run tools/kubernetes/build.sh apiserver\n")
        return 1
    with tempfile.TemporaryDirectory() as home, control_plane(folder, Path(home)) as plane:
        found: dict[str, Any] = {}
        for path, kinds in KINDS.items():
            page = json.loads(plane.run("get", "--raw", f"/openapi/v3/{path}"))
            definitions = page["components"]["schemas"]
            for kind in kinds:
                name = next(each for each in definitions if each.endswith(f".{kind}"))
                found[kind] = structural({"$ref": f"#/{name}"}, definitions)
        version = json.loads(plane.run("get", "--raw", "/version"))["gitVersion"]
    for kind, fields in NAMES.items():
        for field in fields:
            found[kind]["properties"][field]["properties"]["name"] |= OBJECT_NAME
    OUT.write_text(json.dumps({"kubernetes": version, "schemas": found}, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
