"""A watched copy of the objects of one kind: lists, then follows the changes, and says which object changed.

`run` never ends by itself: a broken watch is listed anew, with a growing pause. After `synced` the copy is
whole, and from then on it is at most as old as the API server's watch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import structlog

from lgs_operator.cluster.client import Cluster, ClusterError
from lgs_operator.cluster.kinds import Key, Kind, Manifest

log = structlog.get_logger(__name__)
_LONGEST_PAUSE = 10.0


class Cache:
    """`changed` is called with each object that came, changed or went, after the copy has it so."""

    def __init__(
        self,
        cluster: Cluster,
        kind: Kind,
        *,
        namespace: str | None,
        labels: str | None,
        changed: Callable[[Manifest], None],
        metadata_only: bool = False,
        keep: bool = True,
    ) -> None:
        self.kind = kind
        self.synced = asyncio.Event()
        self._cluster = cluster
        self._namespace = namespace
        self._labels = labels
        self._changed = changed
        self._metadata_only = metadata_only
        self._keep = keep
        self._objects: dict[Key, Manifest] = {}

    def get(self, key: Key) -> Manifest | None:
        """The object as it was last seen."""
        return self._objects.get(key)

    def __iter__(self) -> Iterator[Manifest]:
        return iter(self._objects.values())

    def put(self, manifest: Manifest) -> None:
        """What a write of our own returned: the copy need not wait for its event."""
        if self._keep:
            self._objects[self._key(manifest)] = manifest

    async def run(self) -> None:
        """Follows the kind until cancelled."""
        pause = 0.2
        while True:
            try:
                version = await self._list()
                pause = 0.2
                while True:
                    version = await self._follow(version)
            except ClusterError as error:
                if error.status != 410:  # 410: too old to go on from; list again
                    log.warning("watch.broken", kind=self.kind.name, error=str(error), retry_seconds=pause)
                    await asyncio.sleep(pause)
                    pause = min(_LONGEST_PAUSE, pause * 2)

    async def _list(self) -> str:
        items, version = await self._cluster.list(
            self.kind, self._namespace, labels=self._labels, metadata_only=self._metadata_only
        )
        before, self._objects = self._objects, {}
        for item in items:
            before.pop(self._key(item), None)
            self._take(item)
        self.synced.set()
        for gone in before.values():
            self._changed(gone)
        return version

    async def _follow(self, version: str) -> str:
        events = self._cluster.watch(
            self.kind, self._namespace, version, labels=self._labels, metadata_only=self._metadata_only
        )
        async for event, item in events:
            version = item["metadata"]["resourceVersion"]
            if event == "BOOKMARK":
                continue
            item |= {"apiVersion": self.kind.api_version, "kind": self.kind.name}
            if event == "DELETED":
                self._objects.pop(self._key(item), None)
                self._changed(item)
            else:
                self._take(item)
        return version

    def _take(self, item: Manifest) -> None:
        self.put(item)
        self._changed(item)

    def _key(self, item: Manifest) -> Key:
        return Key(self.kind, item["metadata"]["namespace"], item["metadata"]["name"])
