"""The Service in front of the runtime's pods, and the address that clients inside the cluster use."""

from __future__ import annotations

from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.objects import owned
from lgs_operator.kube.kinds import SERVICE, Manifest
from lgs_operator.naming import ANSWERS_LABEL, RUNTIME_PORT, selector


def service(inputs: Inputs) -> Manifest:
    """The Service that leads to the replicas that answer requests. Always wanted."""
    network = inputs.service.spec.network
    manifest = owned(inputs, SERVICE, "runtime")
    if network.service_annotations:
        manifest["metadata"]["annotations"] = dict(network.service_annotations)
    chosen = selector(inputs.name, "api" if inputs.split else "runtime")
    manifest["spec"] = {
        "type": network.service_type,
        "selector": chosen | ({ANSWERS_LABEL: "true"} if inputs.leads_to_marked else {}),
        "ports": [{"name": "http", "port": RUNTIME_PORT, "targetPort": "http", "protocol": "TCP"}],
    }
    return manifest


def endpoint(name: str, namespace: str) -> str:
    """The service's URL inside the cluster."""
    return f"http://{name}.{namespace}.svc:{RUNTIME_PORT}"
