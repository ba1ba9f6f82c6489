"""All that the builders know: the manifest, the operator's defaults, and what was read from the cluster."""

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
    """The managed database: what the manifest says, what was decided, and what there is of it. `made` is the
    `spec` of its StatefulSet, some of which can't be changed."""

    spec: ManagedPostgres
    image: ServerImage
    credentials: Credentials
    claim: Manifest | None = None
    made: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Revision:
    """What the pods are to run: the name and the number of what is kept of it, and that itself."""

    number: int
    name: str
    data: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Of what is kept."""
        return self.name.rpartition("-")[2]


@dataclass(frozen=True)
class Inputs:
    """`contents` is a hash of the ConfigMaps and Secrets that the pods read. `postgres` is None unless the
    operator runs the database; `redis_password` is that of the managed Redis, kept once made."""

    service: LangGraphService
    images: Images
    contents: str
    postgres: PostgresInputs | None
    redis_password: str
    operator_namespace: str
    restores: bool = False
    """The database is to be filled from a backup, or is being filled."""
    database_id: str | None = None
    """That of the database that the service has known."""
    last_backup: str | None = None
    """The last that was kept, as it is noted at the volume's claim, which outlives the service."""
    source_copy: str | None = None
    """Name of the copy of the ConfigMap with the code. Without one no pod is to be made."""
    revision: Revision | None = None
    """None where it is not known what the pods are to run, and none are to be made."""
    retreats: bool = False
    """There are replicas whose runs fail, of a revision that was taken back: they are to go soon."""

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.metadata.name

    @property
    def namespace(self) -> str:
        """The namespace that the service and all of its objects are in."""
        return self.service.metadata.namespace or "default"

    @property
    def split(self) -> bool:
        """Replicas that answer requests stand apart from those that execute runs."""
        return self.service.spec.topology == "Split"

    @property
    def managed_postgres(self) -> bool:
        """The operator runs the database."""
        return self.postgres is not None

    @property
    def managed_redis(self) -> bool:
        """The operator runs the Redis."""
        redis = self.service.spec.cache.redis
        return redis is not None and redis.managed is not None


Wanted = Manifest | None
