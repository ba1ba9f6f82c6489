"""The manifest as a whole: `spec` with its sections, the metadata that is used, and the name of the kind."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from lgs_crds.model.auth import Auth
from lgs_crds.model.base import FILLED, MOST_VARIABLES, Part
from lgs_crds.model.budgets import Budgets
from lgs_crds.model.cache import Cache
from lgs_crds.model.circuit_breaker import CircuitBreaker
from lgs_crds.model.network import Network
from lgs_crds.model.observability import Observability
from lgs_crds.model.persistence import Persistence
from lgs_crds.model.pod import Pod
from lgs_crds.model.rollout import Rollout
from lgs_crds.model.scaling import DEFAULT_MAX_REPLICAS, Scaling
from lgs_crds.model.topology import Api, Topology
from lgs_crds.model.workers import Workers
from lgs_crds.texts import GraphPath, Image, Name, OperatorClass, RuntimeVersion, ServiceName

GROUP = "lgs.dev"
VERSION = "v1alpha1"
"""By which the operator reads and writes services."""
VERSIONS = ("v1beta1", VERSION)
"""All that are served, the newest first. They have the same fields."""
API_VERSION = f"{GROUP}/{VERSION}"
NEWEST_API_VERSION = f"{GROUP}/{VERSIONS[0]}"
KIND = "LangGraphService"
PLURAL = "langgraphservices"
DEFAULT_OPERATOR_CLASS = "default"


class Source(Part):
    """Where the graph's code comes from when it is not in the image."""

    config_map: Name | None = Field(
        default=None,
        description="ConfigMap whose files are mounted at /app, from a copy of it; changes are rolled out.",
    )
    folder: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = Field(
        default=None,
        description="Folder that `lgs up` reads, relative to the manifest. A cluster does not use it.",
    )


class Disruption(Part):
    """How many replicas a node drain may take at a time."""

    max_unavailable: (
        Annotated[int, Field(ge=1)] | Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]?%$|^100%$")]
    ) = Field(default=1, description="A number of at least 1, or a percentage such as 25%.")


class Spec(Part):
    """What a team wants to run."""

    image: Image | None = Field(
        default=None,
        description="Runtime image with the graph in it, by tag or by digest (name@sha256:...). Not set: the "
        "stock runtime, with source.",
    )
    runtime_version: RuntimeVersion | None = Field(
        default=None,
        description="Tag, or digest (sha256:...), of the stock runtime that the service stays with. Not set: "
        "the operator's own; where that changes, services go over to it in turn.",
    )
    source: Source | None = None
    graphs: dict[str, GraphPath] = Field(
        default_factory=dict,
        max_length=MOST_VARIABLES,
        description="Graph id to path:variable, such as ./graph.py:graph. Empty: langgraph.json is used.",
    )
    topology: Topology = Field(
        default="Combined",
        description="Combined: each replica answers requests and executes runs. Split: spec.api.replicas "
        "answer requests, and the replicas that scaling is about only execute runs.",
    )
    api: Api = Field(default_factory=Api, json_schema_extra=FILLED)
    replicas: int = Field(default=1, ge=0, le=1000, description="Replicas in the modes Manual and External.")
    scaling: Scaling = Field(default_factory=Scaling, json_schema_extra=FILLED)
    workers: Workers = Field(default_factory=Workers, json_schema_extra=FILLED)
    persistence: Persistence = Field(default_factory=Persistence, json_schema_extra=FILLED)
    cache: Cache = Field(default_factory=Cache, json_schema_extra=FILLED)
    circuit_breaker: CircuitBreaker | None = Field(
        default=None, description="A circuit breaker around each graph. Not set: none."
    )
    budgets: Budgets | None = Field(
        default=None,
        description="What models may cost in an hour or a day; while it is used up new runs are answered "
        "429. Not set: as much as there is.",
    )
    observability: Observability = Field(default_factory=Observability, json_schema_extra=FILLED)
    auth: Auth = Field(default_factory=Auth, json_schema_extra=FILLED)
    disruption: Disruption = Field(default_factory=Disruption, json_schema_extra=FILLED)
    network: Network = Field(default_factory=Network, json_schema_extra=FILLED)
    pod: Pod = Field(default_factory=Pod, json_schema_extra=FILLED)
    rollout: Rollout = Field(default_factory=Rollout, json_schema_extra=FILLED)
    revision_history_limit: int = Field(
        default=10,
        ge=0,
        le=100,
        description="Old revisions that are kept, with their copies of source.configMap and their "
        "ReplicaSets. What pods run stays in any case.",
    )
    operator_class: OperatorClass | None = Field(
        default=None,
        description="Class of the operators that serve it. Not set: default. Another one takes it over as it "
        "is; one of a class that no operator has is not touched.",
    )
    paused: bool = Field(
        default=False,
        description="The operator leaves the service as it is: no repair, no change, no scaling.",
    )

    @property
    def max_replicas(self) -> int:
        """The ceiling of mode Auto, with its default worked out."""
        scaling = self.scaling
        if scaling.max_replicas is not None:
            return scaling.max_replicas
        scheduled = (each.min_replicas for each in scaling.schedule)
        default = DEFAULT_MAX_REPLICAS if self.persistence.postgres else 1
        return max(default, scaling.min_replicas, *scheduled)


class Metadata(BaseModel):
    """The part of Kubernetes' object metadata that is used; the rest is ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    name: ServiceName
    namespace: str | None = None
    uid: str | None = None
    generation: int = 0
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class LangGraphService(Part):
    """A LangGraph application that is deployed, kept running and scaled."""

    api_version: Literal["lgs.dev/v1beta1", "lgs.dev/v1alpha1"]
    kind: Literal["LangGraphService"]
    metadata: Metadata
    spec: Spec
    status: dict[str, Any] | None = None
