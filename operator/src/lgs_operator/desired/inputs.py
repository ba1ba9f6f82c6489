"""The inputs of the builders: the manifest, the operator's defaults, and what was read from the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lgs_crds import LangGraphService
from lgs_crds.model.persistence import ManagedPostgres
from lgs_operator.desired.credentials import Credentials
from lgs_operator.desired.server_image import ServerImage
from lgs_operator.kube.kinds import Manifest
from lgs_operator.settings import Images


@dataclass(frozen=True)
class PostgresInputs:
    """The managed database: what the manifest says, what was decided, and what exists. `made` is the `spec`
    of its present StatefulSet, parts of which can't be changed."""

    spec: ManagedPostgres
    image: ServerImage
    credentials: Credentials
    claim: Manifest | None = None
    made: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Revision:
    """What the pods are to run: the number and name of the ControllerRevision, and the data that it keeps."""

    number: int
    name: str
    data: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The digest of what is kept, from the name."""
        return self.name.rpartition("-")[2]


@dataclass(frozen=True)
class Inputs:
    """What the builders are given. `contents` is a hash of the ConfigMaps and Secrets that the pods read.
    `postgres` is None unless the operator runs the database; `redis_password` is that of the managed
    Redis, kept once made."""

    service: LangGraphService
    images: Images
    contents: str
    postgres: PostgresInputs | None
    redis_password: str
    operator_namespace: str
    restores: bool = False
    """Whether the database is to be filled from a backup, or is being filled."""
    database_id: str | None = None
    """The id of the database that the service has known."""
    last_backup: str | None = None
    """The last backup that was kept, as noted at the volume's claim, which outlives the service."""
    source_copy: str | None = None
    """The name of the copy of the ConfigMap with the code. Without one no pod may be created."""
    revision: Revision | None = None
    """The revision that the pods are to run; None if that is not known, and none may be created."""
    leads_to_marked: bool = False
    """Whether the Service leads to the replicas with that label alone."""
    retreats: bool = False
    """Whether replicas of a revision that was taken back still run: their runs fail, so
    they should go soon."""

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.metadata.name

    @property
    def namespace(self) -> str:
        """The namespace of the service and all of its objects."""
        return self.service.metadata.namespace or "default"

    @property
    def split(self) -> bool:
        """Whether replicas that answer requests are separate from those that execute runs."""
        return self.service.spec.topology == "Split"

    @property
    def marks_those_that_answer(self) -> bool:
        """Whether the replicas that requests come to have a label for that, since others may run beside them
        that would answer with an old revision."""
        return self.service.spec.rollout.strategy == "Pinned" and not self.split

    @property
    def managed_postgres(self) -> bool:
        """Whether the operator runs the database."""
        return self.postgres is not None

    @property
    def managed_redis(self) -> bool:
        """Whether the operator runs the Redis."""
        redis = self.service.spec.cache.redis
        return redis is not None and redis.managed is not None


Wanted = Manifest | None
