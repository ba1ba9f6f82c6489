"""What this operator knows about the cluster: the services, and watched copies of what belongs to them.

A change only marks services as due; nothing here decides anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.informer import Informer
from lgs_operator.kube.kept_object import kept_object
from lgs_operator.kube.kept_pod import kept_pod
from lgs_operator.kube.kept_service import kept_service
from lgs_operator.kube.kinds import (
    CONFIG_MAP,
    MONITORS,
    OPTIONAL,
    OWNED,
    POD,
    ROUTES,
    SECRET,
    Key,
    Kind,
    Manifest,
    ServiceKey,
    key_of,
)
from lgs_operator.kube.optional import OptionalKinds
from lgs_operator.kube.pods import waits_to_start
from lgs_operator.kube.referenced import ReferencedObjects
from lgs_operator.kube.scope import OperatorScope
from lgs_operator.kube.secrets import SecretReader
from lgs_operator.naming import (
    COMPONENT_LABEL,
    FORGET_ANNOTATION,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    OURS,
    ROTATE_ANNOTATION,
    SERVICE_LABEL,
    WITH_SECRET,
    object_name,
)


class ClusterState:
    """Keeps the copies. `due` is called with each service that must be reconciled."""

    def __init__(
        self,
        cluster: KubeClient,
        namespaces: tuple[str, ...],
        due: Callable[[ServiceKey], None],
        scope: OperatorScope,
        *,
        secrets_seconds: float = 30.0,
    ) -> None:
        self.services: dict[ServiceKey, Mapping[str, Any]] = {}
        """The services that this operator serves; `_seen` has all."""
        self._seen: dict[ServiceKey, Mapping[str, Any]] = {}
        self._scope = scope
        # Two readers, since a manifest may refer to a Secret that is ours: each knows what it must read
        # again. A missing Secret of ours is made by this operator alone, so it is not polled: a service has
        # three such names.
        self._secrets = SecretReader(cluster, secrets_seconds, self._own_secret_changed, absent=False)
        self._others_secrets = SecretReader(cluster, secrets_seconds, self._reference_changed)
        self._own_secrets: dict[Key, Manifest | None] = {}
        self.referenced = ReferencedObjects(cluster, self._others_secrets)
        self._due = due
        self._cluster = cluster
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self._whole: set[str | None] = set()
        """The namespaces whose copies are all whole: before that, nothing may be concluded from absence."""
        self._owned = {kind: self._informers(kind, ours=True) for kind in (*OWNED, POD) if kind != SECRET}
        scope.changed = self._namespace_changed
        self._references = self._informers(CONFIG_MAP, ours=False)
        self.optional = OptionalKinds(
            cluster, OPTIONAL, self._namespaces, self._owned_changed, self._optional_changed
        )

    def service_seen(self, body: Mapping[str, Any], *, gone: bool) -> None:
        """Notes that a service came, changed or went. A change of only its status does not count."""
        metadata = body["metadata"]
        key = ServiceKey(metadata["namespace"], metadata["name"])
        if not gone:
            self._seen[key] = kept_service(body)
            self._update(key)
        elif key in self._seen and self._seen[key]["metadata"]["uid"] == metadata["uid"]:
            del self._seen[key]
            self._leave(key)

    def mark_due(self, key: ServiceKey) -> None:
        """Has a service reconciled because of what its replicas say."""
        self._due(key)

    def seen(self) -> tuple[Mapping[str, Any], ...]:
        """All services, as last seen."""
        return tuple(self._seen.values())

    def seen_of(self, key: ServiceKey) -> Mapping[str, Any] | None:
        """A service as last seen, whoever serves it."""
        return self._seen.get(key)

    def serves(self, body: Mapping[str, Any]) -> bool:
        """Whether a service is this operator's to serve."""
        return self._scope.serves(body)

    def _update(self, key: ServiceKey) -> None:
        """Takes the new state of a service; it may have become ours to serve, or ceased to be."""
        before, body = self.services.get(key), self._seen[key]
        if not self._is_whole(key.namespace) or not self._scope.serves(body):
            self._leave(key)
            return
        self.services[key] = body
        if before is None or _identity(before) != _identity(body):
            self._due(key)

    def _leave(self, key: ServiceKey) -> None:
        # a forgotten service is not touched: it may be another operator's from now on
        if self.services.pop(key, None) is not None:
            self._due(key)

    def _is_whole(self, namespace: str) -> bool:
        return not self._whole.isdisjoint({None, namespace})

    def _namespace_changed(self, namespace: str | None) -> None:
        for key in [each for each in self._seen if namespace in {None, each.namespace}]:
            self._update(key)

    def owned(self, key: ServiceKey) -> dict[Key, Manifest]:
        """All objects of a service, except its pods and the objects that watch it."""
        watched = (kind for kind in OWNED if kind in self._owned)
        found = (each for kind in watched for informer in self._owned[kind] for each in informer.of(*key))
        found = (each for each in found if not _is_dashboard(each))
        secrets = (self._own_secrets.get(each) for each in _names_of_secrets(key))
        return {key_of(each): each for each in (*found, *secrets) if each is not None}

    def monitoring(self, key: ServiceKey) -> dict[Key, Manifest]:
        """The objects by which a service is watched from outside."""
        config_maps = (each for informer in self._owned[CONFIG_MAP] for each in informer.of(*key))
        dashboards = (each for each in config_maps if _is_dashboard(each))
        return {key_of(each): each for each in (*dashboards, *self.optional.of(key, MONITORS))}

    def routes(self, key: ServiceKey) -> dict[Key, Manifest]:
        """The objects that lead clients outside of the cluster to a service."""
        return {key_of(each): each for each in self.optional.of(key, ROUTES)}

    async def read_secrets(self, key: ServiceKey) -> None:
        """Makes the service's own Secrets part of `owned`. Each is read by name, once until it changes; and
        again while a pod waits to start, which may be because a Secret is missing: the next poll may be far
        away."""
        pods = (pod for informer in self._owned[POD] for pod in informer.of(*key))
        is_awaited = any(waits_to_start(pod) for pod in pods)
        for name in _names_of_secrets(key):
            if name not in self._own_secrets or (is_awaited and self._own_secrets[name] is not None):
                manifest = await self._secrets.get(name)
                is_ours = manifest is not None and _is_ours(manifest, key)
                self._own_secrets[name] = kept_object(manifest) if manifest and is_ours else None

    def forget(self, key: ServiceKey) -> None:
        """Forgets a service that is gone."""
        self.referenced.forget(key)
        for name in _names_of_secrets(key):
            self._own_secrets.pop(name, None)
            self._secrets.forget(name)

    def pods(self, key: ServiceKey, component: str = "runtime") -> tuple[Manifest, ...]:
        """The pods of one component of a service."""
        pods = (pod for informer in self._owned[POD] for pod in informer.of(*key))
        return tuple(
            pod for pod in pods if pod["metadata"].get("labels", {}).get(COMPONENT_LABEL) == component
        )

    def put(self, manifest: Manifest) -> None:
        """Takes the API server's answer to our own write."""
        key = key_of(manifest)
        if key.kind == SECRET:
            self._own_secrets[key] = kept_object(manifest)
            self._secrets.put(key, manifest)
            return
        if key.kind in OPTIONAL:
            self.optional.put(manifest)
            return
        for informer in self._owned[key.kind]:
            if informer.namespace in {None, key.namespace}:
                informer.put(manifest)

    def deleted(self, key: Key) -> None:
        """Notes what this operator deleted: no watch reports that for a Secret."""
        if key.kind == SECRET:
            self._own_secrets[key] = None
            self._secrets.put(key, None)

    async def run(self) -> None:
        """Follows the cluster until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._secrets.run())
            tasks.create_task(self._others_secrets.run())
            tasks.create_task(self.optional.run())
            tasks.create_task(self._scope.run())
            for informer in self._scope.informers:
                tasks.create_task(informer.run(), name=f"watch {informer.kind.name}")
            for namespace in self._namespaces:
                tasks.create_task(self._follow(namespace))

    async def _follow(self, namespace: str | None) -> None:
        """Serves a namespace as soon as its copies are whole; no other namespace waits for it."""
        of_it = [each for each in self._all() if each.namespace == namespace]
        async with asyncio.TaskGroup() as tasks:
            for informer in of_it:
                tasks.create_task(informer.run(), name=f"watch {informer.kind.name}")
            for informer in (*of_it, *self._scope.informers):
                await informer.synced.wait()
            await self.optional.looked.wait()
            self._whole.add(namespace)
            self._namespace_changed(namespace)

    def _all(self) -> list[Informer]:
        return [
            *(informer for informers in self._owned.values() for informer in informers),
            *self._references,
        ]

    def _informers(self, kind: Kind, *, ours: bool) -> list[Informer]:
        return [
            Informer(
                self._cluster,
                kind,
                namespace=namespace,
                labels=OURS if ours else None,
                changed=self._owned_changed if ours else self._config_map_changed,
                group_label=SERVICE_LABEL if ours else None,
                # A copy of a source never changes, and a service has many: none is held in memory.
                metadata_only=kind == CONFIG_MAP,
                kept=kept_pod if kind == POD else kept_object,
            )
            for namespace in self._namespaces
        ]

    def _owned_changed(self, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        key = ServiceKey(metadata["namespace"], metadata.get("labels", {}).get(SERVICE_LABEL, ""))
        if key in self.services:
            self._due(key)

    def _optional_changed(self, namespace: str | None) -> None:
        for key in [each for each in self.services if namespace in {None, each.namespace}]:
            self._due(key)

    def _config_map_changed(self, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        self._reference_changed(Key(CONFIG_MAP, metadata["namespace"], metadata["name"]))

    def _reference_changed(self, key: Key) -> None:
        for service in self.referenced.changed(key):
            self._due(service)

    def _own_secret_changed(self, secret: Key) -> None:
        self._own_secrets.pop(secret, None)
        for key in [each for each in self.services if secret in _names_of_secrets(each)]:
            self._due(key)


def _names_of_secrets(key: ServiceKey) -> tuple[Key, ...]:
    return tuple(Key(SECRET, key.namespace, object_name(key.name, each)) for each in WITH_SECRET)


def _is_dashboard(manifest: Manifest) -> bool:
    labels = manifest["metadata"].get("labels", {})
    return bool(manifest["kind"] == CONFIG_MAP.name and labels.get(COMPONENT_LABEL) == "dashboard")


def _is_ours(manifest: Manifest, key: ServiceKey) -> bool:
    labels = manifest["metadata"].get("labels", {})
    return (labels.get(MANAGED_BY_LABEL), labels.get(SERVICE_LABEL)) == (MANAGED_BY, key.name)


def _identity(body: Mapping[str, Any]) -> tuple[object, ...]:
    metadata = body["metadata"]
    given = metadata.get("annotations", {})
    asked = given.get(ROTATE_ANNOTATION), given.get(FORGET_ANNOTATION)
    going = metadata.get("deletionTimestamp")
    # The spec, too: in a cluster that was restored from a backup, another spec may get a generation that
    # existed before.
    return (
        metadata["uid"],
        metadata.get("generation"),
        going and (going, metadata.get("finalizers")),
        asked,
        body.get("spec"),
    )
