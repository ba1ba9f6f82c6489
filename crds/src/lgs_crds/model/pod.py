"""`spec.pod`: what is added to the runtime's pods."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lgs_crds.model.base import (
    MOST_ENTRIES,
    MOST_PARTS,
    MOST_VARIABLES,
    Affinity,
    Container,
    DNSConfig,
    EnvFrom,
    EnvValueFrom,
    HostAlias,
    Lifecycle,
    Part,
    Resources,
    Toleration,
    TopologySpread,
    Volume,
    VolumeMount,
)
from lgs_crds.texts import Name, VariableName

MOST_ID = 2**31 - 1


class EnvVar(Part):
    """An environment variable of the runtime's container, as in a pod."""

    name: VariableName = Field(description="Name of the variable.")
    value: str | None = Field(default=None, description="Its value. Not set: valueFrom, else empty.")
    value_from: EnvValueFrom | None = None


class LocalReference(Part):
    """The name of an object in the namespace of the service."""

    name: Name = Field(description="Name of the object.")


class PodSecurity(Part):
    """Who the pods run as, as far as Pod Security's `restricted` lets it be chosen."""

    run_as_user: int | None = Field(
        default=None, ge=1, le=MOST_ID, description="The user of all containers. Not set: 10001, the image's."
    )
    run_as_group: int | None = Field(
        default=None, ge=1, le=MOST_ID, description="The group of all containers. Not set: 10001."
    )
    fs_group: int | None = Field(
        default=None,
        ge=1,
        le=MOST_ID,
        description="The group that volumes are given to, so that it can write them. Not set: 10001.",
    )
    supplemental_groups: list[Annotated[int, Field(ge=1, le=MOST_ID)]] = Field(
        default_factory=list, max_length=MOST_PARTS, description="Groups that the containers are in as well."
    )


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
    service_account_name: Name | None = Field(
        default=None,
        description="A ServiceAccount of the namespace that the pods run as, as for a cloud's identity. Not "
        "set: one that the operator makes, of the service's name and without any right. No token is mounted "
        "of either.",
    )
    service_account_annotations: dict[str, str] = Field(
        default_factory=dict,
        description="Annotations of the ServiceAccount that the operator makes, by which a cloud knows it.",
    )
    volumes: list[Volume] = Field(
        default_factory=list,
        max_length=MOST_PARTS,
        description="Volumes of the pods beside the operator's own: configMap, csi, downwardAPI, emptyDir, "
        "ephemeral, persistentVolumeClaim or secret.",
        json_schema_extra={"x-list-keys": ["name"]},
    )
    volume_mounts: list[VolumeMount] = Field(
        default_factory=list,
        max_length=MOST_PARTS,
        description="Where the runtime's container has which of these volumes. Not over its own paths: /tmp, "
        "/var/lib/lgs, /var/run/lgs/api-keys, and /app with source.configMap.",
        json_schema_extra={"x-list-keys": ["mountPath"]},
    )
    init_containers: list[Container] = Field(
        default_factory=list,
        max_length=MOST_PARTS,
        description="Containers that end before the runtime starts; with restartPolicy Always those that run "
        "beside it, from before it starts until after it has drained. All keep to Pod Security's restricted.",
        json_schema_extra={"x-list-keys": ["name"]},
    )
    containers: list[Container] = Field(
        default_factory=list,
        max_length=MOST_PARTS,
        description="Containers beside the runtime's, which are asked to stop when it is; what it needs to "
        "drain is one of initContainers. All keep to Pod Security's restricted.",
        json_schema_extra={"x-list-keys": ["name"]},
    )
    lifecycle: Lifecycle | None = Field(
        default=None,
        description="Hooks of the runtime's container. What preStop sleeps is added to the pod's grace "
        "period; what another hook takes is part of it.",
    )
    security_context: PodSecurity | None = Field(
        default=None, description="Who the pods run as, within Pod Security's restricted."
    )
    runtime_class_name: Name | None = Field(
        default=None, description="The RuntimeClass of the pods, such as gvisor. Not set: the node's default."
    )
    priority_class_name: Name | None = Field(
        default=None, description="The PriorityClass of the pods. Not set: the cluster's default."
    )
    dns_policy: Literal["ClusterFirst", "Default", "None"] | None = Field(
        default=None,
        description="Where the pods ask for names. Not set: ClusterFirst, the cluster's own service.",
    )
    dns_config: DNSConfig | None = Field(default=None, description="Name servers and options beside that.")
    host_aliases: list[HostAlias] = Field(
        default_factory=list,
        max_length=MOST_ENTRIES,
        description="Lines of the pods' /etc/hosts.",
        json_schema_extra={"x-list-keys": ["ip"]},
    )
