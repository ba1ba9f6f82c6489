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
from lgs_crds.rules.pod import LONGEST_SLEEP

OUT: Final = Path(__file__).resolve().parents[2] / "crds" / "src" / "lgs_crds" / "fragments.json"
KINDS: Final = {
    "api/v1": (
        "Affinity",
        "Container",
        "EnvFromSource",
        "EnvVarSource",
        "HostAlias",
        "Lifecycle",
        "PodDNSConfig",
        "ResourceRequirements",
        "Toleration",
        "TopologySpreadConstraint",
        "Volume",
        "VolumeMount",
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
KEPT: Final = {
    "Volume": (
        "name",
        *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "secret"),
    ),
    "Container.securityContext": ("readOnlyRootFilesystem", "runAsGroup", "runAsUser"),
    "Volume.ephemeral.volumeClaimTemplate.metadata": ("annotations", "labels"),
}
"""Of these, what Pod Security's `restricted` takes in each namespace, and what is no way to an account's
token."""
PROBES: Final = tuple(f"Container.{each}" for each in ("livenessProbe", "readinessProbe", "startupProbe"))
HOOKS: Final = tuple(
    f"{of}.{each}" for of in ("Lifecycle", "Container.lifecycle") for each in ("postStart", "preStop")
)
DROPPED: Final = {
    "Container": ("resizePolicy", "restartPolicyRules", "volumeDevices"),
    "Container.ports": ("hostIP", "hostPort"),
    # Taken only beside `os.name`, which no manifest has, or dropped without a word.
    **dict.fromkeys(("Lifecycle", "Container.lifecycle"), ("stopSignal",)),
    # A volume that another one may have been meant to get.
    "Volume.ephemeral.volumeClaimTemplate.spec": ("volumeName",),
    **{f"{of}.{each}": ("host",) for of in (*PROBES, *HOOKS) for each in ("httpGet", "tcpSocket")},
}
LABEL: Final = {"pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "minLength": 1, "maxLength": 63}
SEGMENT: Final = r"([^/:.][^/:]*|\.[^/:.][^/:]*|\.\.[^/:]+)"
PATH: Final = {"pattern": rf"^(/{SEGMENT})+$", "maxLength": 512}
"""Of a mount: as it is after all `.` and `..`, so that what is below what can be told."""
NARROWED: Final = {
    "Container": {"required": ["image", "name"]},
    "Container.name": LABEL,
    "Container.securityContext.runAsUser": {"minimum": 1},
    "Container.securityContext.runAsGroup": {"minimum": 1},
    "Container.env.name": {"maxLength": 256},
    "Volume.name": LABEL,
    "VolumeMount.name": LABEL,
    "VolumeMount.mountPath": PATH,
    "Container.volumeMounts.name": LABEL,
    "Container.volumeMounts.mountPath": PATH,
    "Volume.secret.secretName": OBJECT_NAME,
    "Volume.configMap.name": OBJECT_NAME,
    "Container.env": {"maxItems": 100},
    "Container.envFrom": {"maxItems": 32},
    "Container.ports": {"maxItems": 32},
    "Container.volumeMounts": {"maxItems": 32},
    **{f"{hook}.sleep.seconds": {"minimum": 0, "maximum": LONGEST_SLEEP} for hook in HOOKS},
    **{
        f"{kind}.{field}.name": OBJECT_NAME
        for kind, fields in (
            ("Container.envFrom", ("secretRef", "configMapRef")),
            ("Container.env.valueFrom", ("secretKeyRef", "configMapKeyRef")),
        )
        for field in fields
    },
}
"""What Kubernetes says of these only when a pod is made, and how many there may be: what the rules between
fields cost at the API server is bounded by that."""


def structural(node: dict[str, Any], definitions: dict[str, Any], path: str) -> dict[str, Any]:
    """A schema of OpenAPI v3 with its references in place, and nothing that a CRD refuses. `path`: where it
    is, beginning with its kind."""
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
                name: structural(each, definitions, f"{path}.{name}")
                for name, each in sorted(node["properties"].items())
                if name in KEPT.get(path, node["properties"]) and name not in DROPPED.get(path, ())
            }
        if isinstance(node.get("additionalProperties"), dict):
            found["additionalProperties"] = structural(node["additionalProperties"], definitions, path)
        if "items" in node:
            found["items"] = structural(node["items"], definitions, path)
    narrowed = NARROWED.get(path, {})
    if ("maxItems" in narrowed) == (node.get("type") == "array"):
        found |= narrowed
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
                found[kind] = structural({"$ref": f"#/{name}"}, definitions, kind)
        version = json.loads(plane.run("get", "--raw", "/version"))["gitVersion"]
    for kind, fields in NAMES.items():
        for field in fields:
            found[kind]["properties"][field]["properties"]["name"] |= OBJECT_NAME
    OUT.write_text(json.dumps({"kubernetes": version, "schemas": found}, indent=1, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
