"""`spec.pod`: what is added to the runtime's pods."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lgs_crds.model.base import (
    MOST_ENTRIES,
    MOST_VARIABLES,
    Affinity,
    EnvFrom,
    EnvValueFrom,
    Part,
    Resources,
    Toleration,
    TopologySpread,
)
from lgs_crds.texts import Name, VariableName


class EnvVar(Part):
    """An environment variable of the runtime's container, as in a pod."""

    name: VariableName = Field(description="Name of the variable.")
    value: str | None = Field(default=None, description="Its value. Not set: valueFrom, else empty.")
    value_from: EnvValueFrom | None = None


class LocalReference(Part):
    """The name of an object in the namespace of the service."""

    name: Name = Field(description="Name of the object.")


class Pod(Part):
    """What is added to the runtime's pods; each field has its meaning and form in a pod."""

    resources: Resources | None = Field(
        default=None,
        description="What one replica asks for and may use at most. Not set: no request and no limit, unless "
        "a LimitRange of the namespace sets them.",
    )
    env: list[EnvVar] = Field(
        default_factory=list,
        max_length=MOST_VARIABLES,
        description="Environment variables of the runtime. Not set: none beside the operator's own.",
        json_schema_extra={"x-list-keys": ["name"]},
    )
    env_from: list[EnvFrom] = Field(
        default_factory=list,
        max_length=MOST_ENTRIES,
        description="ConfigMaps and Secrets whose keys become environment variables.",
    )
    node_selector: dict[str, str] = Field(
        default_factory=dict, description="Labels that a node must have to get a replica. Not set: any node."
    )
    tolerations: list[Toleration] = Field(
        default_factory=list,
        max_length=MOST_ENTRIES,
        description="Taints of nodes that replicas bear, beside a short wait for a lost node.",
    )
    affinity: Affinity | None = Field(
        default=None,
        description="Which nodes and neighbours replicas prefer or need. Not set: zones with fewer of them.",
    )
    topology_spread_constraints: list[TopologySpread] | None = Field(
        default=None,
        max_length=MOST_ENTRIES,
        description="Not set: replicas are spread over nodes and zones where that is possible.",
    )
    annotations: dict[str, str] = Field(default_factory=dict, description="Annotations of the pods.")
    labels: dict[str, str] = Field(
        default_factory=dict, description="Labels of the pods; those that the operator sets win."
    )
    image_pull_secrets: list[LocalReference] = Field(
        default_factory=list,
        max_length=MOST_ENTRIES,
        description="Secrets by which the image is fetched from a private registry.",
        json_schema_extra={"x-list-keys": ["name"]},
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None,
        description="When the image is fetched. Not set: the operator's own setting, else Kubernetes' "
        "(Always for the tag latest, IfNotPresent for others).",
    )
