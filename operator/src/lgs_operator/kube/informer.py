"""A watched copy of the objects of one kind: lists, then follows the changes, and says which object changed.

`run` never ends by itself: a broken watch is listed anew, with a growing pause. After `synced` the copy is
whole, and from then on it is at most as old as the API server's watch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from lgs_operator.backoff import Backoff
from lgs_operator.kube.client import KubeClient, KubeError
from lgs_operator.kube.kinds import Key, Kind, Manifest

log = structlog.get_logger(__name__)
BACKOFF = Backoff(first_seconds=0.2, longest_seconds=10.0)


class Informer:
    """`changed` is called with each object that came, changed or went, after the copy has it so."""

    def __init__(
        self,
        cluster: KubeClient,
        kind: Kind,
        *,
        namespace: str | None,
        labels: str | None,
        changed: Callable[[Manifest], None],
        fields: str | None = None,
        group_label: str | None = None,
    ) -> None:
        self.kind = kind
        self.synced = asyncio.Event()
        self._cluster = cluster
        self.namespace = namespace
        self._labels = labels
        self._fields = fields
        self._changed = changed
        # without a label to group by nothing is kept: only names are watched, not contents
        self._metadata_only = group_label is None
        self._group_label = group_label
        self._objects: dict[Key, Manifest] = {}
        self._groups: dict[tuple[str, str], set[Key]] = {}

    def of(self, namespace: str, group: str) -> list[Manifest]:
        """The objects of a namespace whose group label has this value."""
        return [self._objects[key] for key in sorted(self._groups.get((namespace, group), ()), key=_name)]

    def put(self, manifest: Manifest) -> None:
        """What a write of our own returned: the copy need not wait for its event."""
        group = self._group(manifest)
        if group is not None:
            key = self._key(manifest)
            self._objects[key] = manifest
            self._groups.setdefault(group, set()).add(key)

    def _drop(self, item: Manifest) -> None:
        key, group = self._key(item), self._group(item)
        self._objects.pop(key, None)
        if group in self._groups:
            self._groups[group].discard(key)
            if not self._groups[group]:
                del self._groups[group]

    def _group(self, item: Manifest) -> tuple[str, str] | None:
        if self._group_label is None:
            return None
        metadata = item["metadata"]
        return metadata["namespace"], metadata.get("labels", {}).get(self._group_label, "")

    async def run(self) -> None:
        """Follows the kind until cancelled."""
        failures = 0
        while True:
            try:
                version = await self._list()
                failures = 0
                while True:
                    version = await self._follow(version)
            except KubeError as error:
                if error.status != 410:  # 410: too old to go on from; list again
                    failures += 1
                    pause = BACKOFF.pause(failures)
                    log.warning("watch.broken", kind=self.kind.name, error=str(error), retry_seconds=pause)
                    await asyncio.sleep(pause)

    async def _list(self) -> str:
        items, version = await self._cluster.list(
            self.kind,
            self.namespace,
            labels=self._labels,
            fields=self._fields,
            metadata_only=self._metadata_only,
        )
        before, self._objects, self._groups = self._objects, {}, {}
        for item in items:
            before.pop(self._key(item), None)
            self._take(item)
        self.synced.set()
        for gone in before.values():
            self._changed(gone)
        return version

    async def _follow(self, version: str) -> str:
        events = self._cluster.watch(
            self.kind,
            self.namespace,
            version,
            labels=self._labels,
            fields=self._fields,
            metadata_only=self._metadata_only,
        )
        async for event, item in events:
            version = item["metadata"]["resourceVersion"]
            if event == "BOOKMARK":
                continue
            item |= {"apiVersion": self.kind.api_version, "kind": self.kind.name}
            if event == "DELETED":
                self._drop(item)
                self._changed(item)
            else:
                self._take(item)
        return version

    def _take(self, item: Manifest) -> None:
        self.put(item)
        self._changed(item)

    def _key(self, item: Manifest) -> Key:
        return Key(self.kind, item["metadata"]["namespace"], item["metadata"]["name"])


def _name(key: Key) -> str:
    return key.name
