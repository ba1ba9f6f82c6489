"""Names, labels and owner references of everything that belongs to a service.

`lgs.dev/service` and `app.kubernetes.io/managed-by` mark what is ours; selectors never change once used.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Literal

from lgs_crds import API_VERSION, KIND
from lgs_operator.cluster.kinds import Kind, Manifest
from lgs_operator.desired.inputs import Inputs

Component = Literal["runtime", "postgres", "redis"]
SERVICE_LABEL = "lgs.dev/service"
COMPONENT_LABEL = "app.kubernetes.io/component"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "lgs-operator"
OURS = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
CONTENTS_ANNOTATION = "lgs.dev/contents"

RUNTIME_PORT = 8000
POSTGRES_PORT = 5432
REDIS_PORT = 6379


def object_name(service: str, component: Component) -> str:
    """The runtime's objects have the service's own name; those of the servers add theirs."""
    return service if component == "runtime" else f"{service}-{component}"


def name_of(inputs: Inputs, component: Component) -> str:
    """The name of a component's objects."""
    return object_name(inputs.name, component)


def selector(name: str, component: Component) -> dict[str, str]:
    """The labels that pick a component's pods."""
    return {SERVICE_LABEL: name, COMPONENT_LABEL: component}


def labels(name: str, component: Component) -> dict[str, str]:
    """The labels of a component's objects and pods."""
    return selector(name, component) | {
        MANAGED_BY_LABEL: MANAGED_BY,
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": "langgraphservice",
    }


def owned(inputs: Inputs, kind: Kind, component: Component) -> Manifest:
    """The head of an object that goes when the service goes."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {
            "name": name_of(inputs, component),
            "namespace": inputs.namespace,
            "labels": labels(inputs.name, component),
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": KIND,
                    "name": inputs.name,
                    "uid": inputs.service.metadata.uid or "",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
    }


def container_security() -> Manifest:
    """A container that Kubernetes' restricted profile takes."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def pod_security(uid: int) -> Manifest:
    """A pod that Kubernetes' restricted profile takes, with volumes that `uid` can write."""
    return {
        "runAsNonRoot": True,
        "runAsUser": uid,
        "runAsGroup": uid,
        "fsGroup": uid,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def encoded(**values: str) -> dict[str, str]:
    """The `data` of a Secret."""
    return {name: b64encode(value.encode()).decode() for name, value in values.items()}
