"""What this operator knows of the cluster: the services and watched copies of what belongs to them.

Whatever changes only marks services as due; nothing here decides anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from lgs_operator.cluster.cache import Cache
from lgs_operator.cluster.client import Cluster
from lgs_operator.cluster.kinds import CONFIG_MAP, OWNED, POD, SECRET, Key, Kind, Manifest, key_of
from lgs_operator.contents import Contents
from lgs_operator.desired.naming import COMPONENT_LABEL, OURS, SERVICE_LABEL
from lgs_operator.due import ServiceKey


class World:
    """`due` is called with each service that needs a look."""

    def __init__(
        self, cluster: Cluster, namespaces: tuple[str, ...], due: Callable[[ServiceKey], None]
    ) -> None:
        self.services: dict[ServiceKey, Mapping[str, Any]] = {}
        self.contents = Contents(cluster)
        self._due = due
        self._cluster = cluster
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self._owned = {kind: self._caches(kind, ours=True) for kind in (*OWNED, POD)}
        self._references = [*self._caches(SECRET, ours=False), *self._caches(CONFIG_MAP, ours=False)]

    def service_seen(self, body: Mapping[str, Any], *, gone: bool) -> None:
        """A service came, changed or went. A change of nothing but its status is none."""
        metadata = body["metadata"]
        key = ServiceKey(metadata["namespace"], metadata["name"])
        before = self.services.get(key)
        if gone:
            if before is not None and before["metadata"]["uid"] == metadata["uid"]:
                del self.services[key]
                self._due(key)
            return
        self.services[key] = body
        if before is None or _identity(before) != _identity(body):
            self._due(key)

    def owned(self, key: ServiceKey) -> dict[Key, Manifest]:
        """All objects of a service but its pods."""
        found = (each for kind in OWNED for cache in self._owned[kind] for each in cache.of(*key))
        return {key_of(each): each for each in found}

    def pods(self, key: ServiceKey, component: str = "runtime") -> tuple[Manifest, ...]:
        """The pods of a component of a service."""
        pods = (pod for cache in self._owned[POD] for pod in cache.of(*key))
        return tuple(pod for pod in pods if pod["metadata"]["labels"].get(COMPONENT_LABEL) == component)

    def put(self, manifest: Manifest) -> None:
        """What the API server answered to a write of ours."""
        key = key_of(manifest)
        for cache in self._owned[key.kind]:
            if cache.namespace in {None, key.namespace}:
                cache.put(manifest)

    async def run(self) -> None:
        """Follows the cluster until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for cache in self._all():
                tasks.create_task(cache.run(), name=f"watch {cache.kind.name}")

    async def synced(self) -> None:
        """Returns when every copy is whole; before that nothing may be concluded from absence."""
        for cache in self._all():
            await cache.synced.wait()

    def _all(self) -> list[Cache]:
        return [*(cache for caches in self._owned.values() for cache in caches), *self._references]

    def _caches(self, kind: Kind, *, ours: bool) -> list[Cache]:
        return [
            Cache(
                self._cluster,
                kind,
                namespace=namespace,
                labels=OURS if ours else f"!{SERVICE_LABEL}",
                changed=self._owned_changed if ours else self._reference_changed,
                group_label=SERVICE_LABEL if ours else None,
            )
            for namespace in self._namespaces
        ]

    def _owned_changed(self, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        key = ServiceKey(metadata["namespace"], metadata["labels"].get(SERVICE_LABEL, ""))
        if key in self.services:
            self._due(key)

    def _reference_changed(self, manifest: Manifest) -> None:
        metadata, kind = manifest["metadata"], SECRET if manifest["kind"] == SECRET.name else CONFIG_MAP
        for service in self.contents.changed(kind, metadata["namespace"], metadata["name"]):
            self._due(service)


def _identity(body: Mapping[str, Any]) -> tuple[object, ...]:
    metadata = body["metadata"]
    return metadata["uid"], metadata.get("generation"), metadata.get("deletionTimestamp")
