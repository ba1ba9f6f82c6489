"""All that the builders know: the manifest, the operator's defaults, and what was read from the cluster."""

from __future__ import annotations

from dataclasses import dataclass

from lgs_crds import LangGraphService
from lgs_operator.kube.kinds import Manifest
from lgs_operator.settings import Images


@dataclass(frozen=True)
class Inputs:
    """`contents` is a hash of the ConfigMaps and Secrets that the pods read.

    `postgres_password` and `redis_password` are those of the managed servers; kept once made.
    """

    service: LangGraphService
    images: Images
    contents: str
    postgres_password: str
    redis_password: str
    operator_namespace: str

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.metadata.name

    @property
    def namespace(self) -> str:
        """The namespace that the service and all of its objects are in."""
        return self.service.metadata.namespace or "default"

    @property
    def managed_postgres(self) -> bool:
        """The operator runs the database."""
        postgres = self.service.spec.persistence.postgres
        return postgres is not None and postgres.managed is not None

    @property
    def managed_redis(self) -> bool:
        """The operator runs the Redis."""
        redis = self.service.spec.cache.redis
        return redis is not None and redis.managed is not None


Wanted = Manifest | None
