"""What all managed servers share: a Secret with the password and URI, a Service, and the common parts
of the container."""

from __future__ import annotations

from collections.abc import Mapping

from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.objects import container_security, encoded, name_of, owned
from lgs_operator.kube.kinds import SECRET, SERVICE, Manifest
from lgs_operator.naming import Component, selector


def host_of(inputs: Inputs, component: Component) -> str:
    """The host name of the server in the cluster."""
    return f"{name_of(inputs, component)}.{inputs.namespace}.svc"


def managed_secret(inputs: Inputs, component: Component, values: Mapping[str, str]) -> Manifest:
    """A Secret with `password` for the server, `uri` for the runtime, and what else the server needs."""
    manifest = owned(inputs, SECRET, component) | {"type": "Opaque"}
    return manifest | {"data": encoded(values)}


def managed_container(inputs: Inputs, container: Manifest, resources: Manifest | None) -> Manifest:
    """The server's container, with what the operator's settings and the manifest add to it."""
    optional = {"imagePullPolicy": inputs.images.pull_policy, "resources": resources}
    common = {
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    return container | common | {name: value for name, value in optional.items() if value}


def managed_service(inputs: Inputs, component: Component, port: int) -> Manifest:
    """A Service that leads to the server's port, which has the component's name."""
    manifest = owned(inputs, SERVICE, component)
    manifest["spec"] = {
        "selector": selector(inputs.name, component),
        "ports": [{"name": component, "port": port, "targetPort": component, "protocol": "TCP"}],
    }
    return manifest
