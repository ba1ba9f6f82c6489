"""What this operator knows of the cluster: the services and watched copies of what belongs to them.

Whatever changes only marks services as due; nothing here decides anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.informer import Informer
from lgs_operator.kube.kinds import CONFIG_MAP, OWNED, POD, SECRET, Key, Kind, Manifest, ServiceKey, key_of
from lgs_operator.kube.referenced import ReferencedObjects
from lgs_operator.kube.scope import OperatorScope
from lgs_operator.naming import COMPONENT_LABEL, OURS, ROTATE_ANNOTATION, SERVICE_LABEL


class ClusterState:
    """`due` is called with each service that is to be reconciled."""

    def __init__(
        self,
        cluster: KubeClient,
        namespaces: tuple[str, ...],
        due: Callable[[ServiceKey], None],
        scope: OperatorScope,
    ) -> None:
        self.services: dict[ServiceKey, Mapping[str, Any]] = {}
        """Those that this operator serves; `_seen` are all."""
        self._seen: dict[ServiceKey, Mapping[str, Any]] = {}
        self._scope = scope
        self.referenced = ReferencedObjects(cluster)
        self._due = due
        self._cluster = cluster
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self._owned = {kind: self._informers(kind, ours=True) for kind in (*OWNED, POD)}
        scope.changed = self._namespace_changed
        self._references = [*self._informers(SECRET, ours=False), *self._informers(CONFIG_MAP, ours=False)]

    def service_seen(self, body: Mapping[str, Any], *, gone: bool) -> None:
        """A service came, changed or went. A change of nothing but its status is none."""
        metadata = body["metadata"]
        key = ServiceKey(metadata["namespace"], metadata["name"])
        if not gone:
            self._seen[key] = body
            self._look_at(key)
        elif key in self._seen and self._seen[key]["metadata"]["uid"] == metadata["uid"]:
            del self._seen[key]
            self._leave(key)

    def _look_at(self, key: ServiceKey) -> None:
        """Whether it is ours to serve may have changed, too."""
        before, body = self.services.get(key), self._seen[key]
        if not self._scope.serves(body):
            self._leave(key)
            return
        self.services[key] = body
        if before is None or _identity(before) != _identity(body):
            self._due(key)

    def _leave(self, key: ServiceKey) -> None:
        # what is forgotten is not touched: it may be another operator's from now on
        if self.services.pop(key, None) is not None:
            self._due(key)

    def _namespace_changed(self, namespace: str) -> None:
        for key in [each for each in self._seen if each.namespace == namespace]:
            self._look_at(key)

    def owned(self, key: ServiceKey) -> dict[Key, Manifest]:
        """All objects of a service but its pods."""
        found = (each for kind in OWNED for informer in self._owned[kind] for each in informer.of(*key))
        return {key_of(each): each for each in found}

    def pods(self, key: ServiceKey, component: str = "runtime") -> tuple[Manifest, ...]:
        """The pods of a component of a service."""
        pods = (pod for informer in self._owned[POD] for pod in informer.of(*key))
        return tuple(pod for pod in pods if pod["metadata"]["labels"].get(COMPONENT_LABEL) == component)

    def put(self, manifest: Manifest) -> None:
        """What the API server answered to a write of ours."""
        key = key_of(manifest)
        for informer in self._owned[key.kind]:
            if informer.namespace in {None, key.namespace}:
                informer.put(manifest)

    async def run(self) -> None:
        """Follows the cluster until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for informer in self._all():
                tasks.create_task(informer.run(), name=f"watch {informer.kind.name}")

    async def synced(self) -> None:
        """Returns when every copy is whole; before that nothing may be concluded from absence."""
        for informer in self._all():
            await informer.synced.wait()

    def _all(self) -> list[Informer]:
        return [
            *(informer for informers in self._owned.values() for informer in informers),
            *self._references,
            *self._scope.informers,
        ]

    def _informers(self, kind: Kind, *, ours: bool) -> list[Informer]:
        return [
            Informer(
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
        for service in self.referenced.changed(kind, metadata["namespace"], metadata["name"]):
            self._due(service)


def _identity(body: Mapping[str, Any]) -> tuple[object, ...]:
    metadata = body["metadata"]
    asked = metadata.get("annotations", {}).get(ROTATE_ANNOTATION)
    return metadata["uid"], metadata.get("generation"), metadata.get("deletionTimestamp"), asked
