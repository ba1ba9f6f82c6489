"""`spec.network`: how the service is reached."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lgs_crds.model.base import MOST_ENTRIES, Part, PolicyPeer


class Network(Part):
    """How the service is reached."""

    service_type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field(
        default="ClusterIP", description="Type of the Service: who can reach it, as Kubernetes has it."
    )
    service_annotations: dict[str, str] = Field(
        default_factory=dict, description="Annotations of the Service, such as those of a load balancer."
    )
    allow_from: list[PolicyPeer] | None = Field(
        default=None,
        max_length=MOST_ENTRIES,
        description="NetworkPolicy peers that may connect. Not set: everybody, without a NetworkPolicy. "
        "The operator is always allowed: it reads the metrics.",
    )
