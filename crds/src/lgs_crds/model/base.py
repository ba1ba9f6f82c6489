"""What the sections of the manifest share: the base class, types with a schema of Kubernetes' own, the
reference to a key of a Secret, and limits of lists."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from lgs_crds.texts import Key, Name

MOST_VARIABLES = 1000
MOST_ENTRIES = 100
"""Of other lists. Each entry may name an object, which the operator reads before the next service's turn."""


def _fragment(kind: str) -> Any:
    """A part of Kubernetes' own schema, by its kind; `fragments.json` has what the CRD says of it."""
    return Field(json_schema_extra={"x-fragment": kind})


AnyObject = Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]
"""An object of the user's own, which the manifest only carries."""
MOST_PARTS = 32
"""Of volumes, mounts and containers, which the rules between fields compare with each other."""
Affinity = Annotated[dict[str, Any], _fragment("Affinity")]
Container = Annotated[dict[str, Any], _fragment("Container")]
DNSConfig = Annotated[dict[str, Any], _fragment("PodDNSConfig")]
EnvFrom = Annotated[dict[str, Any], _fragment("EnvFromSource")]
EnvValueFrom = Annotated[dict[str, Any], _fragment("EnvVarSource")]
HostAlias = Annotated[dict[str, Any], _fragment("HostAlias")]
Lifecycle = Annotated[dict[str, Any], _fragment("Lifecycle")]
PolicyPeer = Annotated[dict[str, Any], _fragment("NetworkPolicyPeer")]
Resources = Annotated[dict[str, Any], _fragment("ResourceRequirements")]
Toleration = Annotated[dict[str, Any], _fragment("Toleration")]
TopologySpread = Annotated[dict[str, Any], _fragment("TopologySpreadConstraint")]
Volume = Annotated[dict[str, Any], _fragment("Volume")]
VolumeMount = Annotated[dict[str, Any], _fragment("VolumeMount")]

# With an empty object as the default, the API server fills in the defaults of the fields inside.
FILLED: dict[str, JsonValue] = {"default": {}}


class Part(BaseModel):
    """Base of all parts of the manifest: camel case outside, unknown fields refused, types not converted."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, strict=True
    )


class SecretKey(Part):
    """A key of a Secret in the namespace of the service."""

    name: Name = Field(description="Name of the Secret.")
    key: Key = Field(default="uri", description="Key of the Secret.")
