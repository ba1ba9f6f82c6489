"""The ServiceAccount of the runtime's pods: an identity without any right and without a mounted token."""

from __future__ import annotations

from lgs_operator.cluster.kinds import SERVICE_ACCOUNT, Manifest
from lgs_operator.desired.inputs import Inputs
from lgs_operator.desired.naming import owned


def service_account(inputs: Inputs) -> Manifest:
    """Always wanted."""
    return owned(inputs, SERVICE_ACCOUNT, "runtime") | {"automountServiceAccountToken": False}
