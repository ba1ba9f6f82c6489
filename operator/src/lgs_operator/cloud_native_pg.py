"""Reads the CloudNativePG Cluster that a service names: before pods that need it are made, and when no
replica takes work. Clusters are not watched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import structlog

from lgs_crds import LangGraphService
from lgs_operator.context import Context
from lgs_operator.desired.references import CLUSTER_FIELD
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import CNPG_CLUSTER, ServiceKey
from lgs_operator.kube.pods import is_ready, reads_secret
from lgs_operator.kube.referenced import FORBIDDEN, MissingReference
from lgs_operator.naming import REPLICAS, application_secret
from lgs_operator.status.cloud_native_pg import cluster_problem, not_serving
from lgs_operator.status.diagnosis import Diagnosis

log: Final = structlog.get_logger(__name__)


class CloudNativePG:
    """Reads a Cluster when something depends on it."""

    def __init__(self, context: Context) -> None:
        self._cluster = context.cluster
        self._state = context.state

    async def awaited(self, key: ServiceKey, service: LangGraphService) -> Diagnosis | None:
        """Why pods that start now would end without their database; None if they would not. A ready replica
        that uses this Cluster counts more than the Cluster's status, which nobody updates while CloudNativePG
        is away."""
        name = _named(service)
        if name is None or self._serves_one(key, application_secret(name)):
            return None
        try:
            return not_serving(
                name, key.namespace, await self._cluster.get(CNPG_CLUSTER, key.namespace, name)
            )
        except KubeError as error:
            if error.status == FORBIDDEN:
                # The role of an older chart may not read Clusters: then the pods wait by themselves, as
                # before.
                return None
            return Diagnosis("ClusterNotReady", f"Cluster {name} of CloudNativePG can't be read: {error}")

    async def problem(
        self, key: ServiceKey, service: LangGraphService, missing: Iterable[MissingReference]
    ) -> Diagnosis | None:
        """What is wrong with the Cluster of a service whose replicas take no work, or can't be made; None
        if nothing."""
        name = _named(service)
        if name is None:
            return None
        lacks_secret = any(each.reference.field == CLUSTER_FIELD for each in missing)
        try:
            cluster = await self._cluster.get(CNPG_CLUSTER, key.namespace, name)
        except KubeError as error:
            # Failing to explain is no reason to fail.
            log.info("cluster.unread", namespace=key.namespace, cluster=name, error=str(error))
            return None
        return cluster_problem(name, key.namespace, cluster, lacks_secret=lacks_secret)

    def _serves_one(self, key: ServiceKey, secret: str) -> bool:
        pods = (pod for each in REPLICAS for pod in self._state.pods(key, each))
        return any(is_ready(pod) and reads_secret(pod, secret) for pod in pods)


def _named(service: LangGraphService) -> str | None:
    postgres = service.spec.persistence.postgres
    return postgres.cloud_native_pg.cluster if postgres and postgres.cloud_native_pg else None
