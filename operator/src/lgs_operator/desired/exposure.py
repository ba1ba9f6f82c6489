"""The objects that lead clients outside of the cluster to a service: an Ingress and an HTTPRoute, as its
manifest says. Pure. Whether the cluster has these kinds is not known here."""

from __future__ import annotations

from typing import Any, Final

from lgs_crds.model.network import HttpRoute, Ingress, ParentReference
from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.objects import name_of, owned
from lgs_operator.kube.kinds import HTTP_ROUTE, INGRESS, Manifest
from lgs_operator.naming import RUNTIME_PORT

UNENDING: Final = "0s"
"""No timeout, as a stream is open for as long as its run takes
(https://gateway-api.sigs.k8s.io/geps/gep-1742/, `timeouts.request`)."""


def exposure(inputs: Inputs) -> list[Manifest]:
    """The wanted Ingress and HTTPRoute."""
    network = inputs.service.spec.network
    wanted = list[Manifest]()
    if network.ingress is not None:
        wanted.append(ingress(inputs, network.ingress))
    if network.http_route is not None:
        wanted.append(http_route(inputs, network.http_route))
    return wanted


def ingress(inputs: Inputs, asked: Ingress) -> Manifest:
    """An Ingress that leads all paths of each host to the Service."""
    manifest = _annotated(owned(inputs, INGRESS, "runtime"), asked.annotations)
    backend = {"service": {"name": name_of(inputs, "runtime"), "port": {"name": "http"}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    spec: dict[str, Any] = {"rules": [{"host": host, "http": {"paths": [path]}} for host in asked.hosts]}
    if asked.class_name is not None:
        spec["ingressClassName"] = asked.class_name
    if asked.tls_secret_name is not None:
        spec["tls"] = [{"hosts": list(asked.hosts), "secretName": asked.tls_secret_name}]
    manifest["spec"] = spec
    return manifest


def http_route(inputs: Inputs, asked: HttpRoute) -> Manifest:
    """An HTTPRoute that leads all requests for its hosts at the Gateways to the Service."""
    manifest = _annotated(owned(inputs, HTTP_ROUTE, "runtime"), asked.annotations)
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "backendRefs": [{"name": name_of(inputs, "runtime"), "port": RUNTIME_PORT}],
        "timeouts": {"request": UNENDING},
    }
    manifest["spec"] = {"parentRefs": [_parent(each) for each in asked.parent_refs], "rules": [rule]}
    if asked.hostnames:
        manifest["spec"]["hostnames"] = list(asked.hostnames)
    return manifest


def _parent(reference: ParentReference) -> Manifest:
    return reference.model_dump(by_alias=True, exclude_none=True)


def _annotated(manifest: Manifest, annotations: dict[str, str]) -> Manifest:
    if annotations:
        manifest["metadata"]["annotations"] = dict(annotations)
    return manifest
