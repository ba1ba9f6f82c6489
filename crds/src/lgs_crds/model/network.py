"""`spec.network`: how the service is reached."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lgs_crds.model.base import MOST_ENTRIES, Part, PolicyPeer
from lgs_crds.texts import HostName, Name

MOST_HOSTS = 16
"""Of an HTTPRoute, by its own definition."""
Port = Annotated[int, Field(ge=1, le=65535)]


class Ingress(Part):
    """An Ingress that leads to the service, for an Ingress controller that the cluster has."""

    hosts: list[HostName] = Field(
        min_length=1, max_length=MOST_HOSTS, description="Host names by which clients ask for the service."
    )
    class_name: Name | None = Field(
        default=None, description="Class of the Ingress. Not set: the cluster's default."
    )
    tls_secret_name: Name | None = Field(
        default=None,
        description="Name of the Secret with the certificate of the hosts, which cert-manager may make. Not "
        "set: plain HTTP.",
    )
    annotations: dict[str, str] = Field(
        default_factory=dict,
        max_length=MOST_ENTRIES,
        description="Annotations of the Ingress, such as cert-manager.io/cluster-issuer.",
    )


class ParentReference(Part):
    """A Gateway, or one of its listeners."""

    name: Name = Field(description="Name of the Gateway.")
    namespace: Name | None = Field(
        default=None, description="Namespace of the Gateway. Not set: that of the service."
    )
    section_name: Name | None = Field(default=None, description="Name of one listener. Not set: all of them.")
    port: Port | None = Field(default=None, description="Port of the listeners. Not set: any.")


class HttpRoute(Part):
    """An HTTPRoute that leads from a Gateway to the service. The Gateway's listener has the certificate."""

    parent_refs: list[ParentReference] = Field(
        min_length=1, max_length=MOST_HOSTS, description="The Gateways that it is attached to."
    )
    hostnames: list[HostName] = Field(
        default_factory=list,
        max_length=MOST_HOSTS,
        description="Host names by which clients ask for the service. Empty: those of the listeners.",
    )
    annotations: dict[str, str] = Field(
        default_factory=dict, max_length=MOST_ENTRIES, description="Annotations of the HTTPRoute."
    )


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
    ingress: Ingress | None = Field(
        default=None, description="An Ingress that leads to the service. Not set: none."
    )
    http_route: HttpRoute | None = Field(
        default=None,
        description="An HTTPRoute of the Gateway API that leads to the service. Not set: none.",
    )
