"""The ServiceAccount of the runtime's pods: an identity without rights and without a mounted token."""

from __future__ import annotations

from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.objects import owned
from lgs_operator.kube.kinds import SERVICE_ACCOUNT, Manifest


def service_account(inputs: Inputs) -> Manifest:
    """The ServiceAccount. Always wanted, even if the pods run as another."""
    manifest = owned(inputs, SERVICE_ACCOUNT, "runtime") | {"automountServiceAccountToken": False}
    if annotations := inputs.service.spec.pod.service_account_annotations:
        manifest["metadata"]["annotations"] = dict(annotations)
    return manifest
