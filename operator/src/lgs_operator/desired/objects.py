"""What all objects of a service share: their metadata, and what Kubernetes' restricted profile requires."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

from lgs_crds import API_VERSION, KIND
from lgs_operator.desired.inputs import Inputs
from lgs_operator.kube.kinds import Kind, Manifest
from lgs_operator.naming import Component, labels, object_name


def name_of(inputs: Inputs, component: Component) -> str:
    """The name of a component's objects."""
    return object_name(inputs.name, component)


def owned(inputs: Inputs, kind: Kind, component: Component) -> Manifest:
    """The kind and metadata of an object that is deleted with the service."""
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


def retained(inputs: Inputs, kind: Kind, component: Component) -> Manifest:
    """The kind and metadata of an object without an owner, which outlives the service."""
    manifest = owned(inputs, kind, component)
    del manifest["metadata"]["ownerReferences"]
    return manifest


def container_security() -> Manifest:
    """The security context of a container that Kubernetes' restricted profile accepts."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def pod_security(uid: int) -> Manifest:
    """The security context of a pod that Kubernetes' restricted profile accepts, with volumes
    that `uid` can write."""
    return {
        "runAsNonRoot": True,
        "runAsUser": uid,
        "runAsGroup": uid,
        "fsGroup": uid,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def encoded(values: Mapping[str, str]) -> dict[str, str]:
    """The values as the `data` of a Secret."""
    return {name: b64encode(value.encode()).decode() for name, value in values.items()}
