"""A watched copy of the objects of one kind: lists them, then follows the changes, and reports which object
changed.

`run` never ends by itself: after a watch breaks, for any reason, the kind is listed again, after a growing
pause. After `synced` the copy is whole, and from then on at most as old as the API server's watch. News may
come twice or late, because the answers to our own writes come beside the watch: the larger resource version
is kept (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from lgs_operator.backoff import Backoff
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import Key, Kind, Manifest

log = structlog.get_logger(__name__)
BACKOFF = Backoff(first_seconds=0.2, longest_seconds=10.0)
SHORTEST_WATCH_SECONDS = 1.0


class Informer:
    """Watches one kind. `changed` is called with each object that came, changed or went, after the copy has
    it. Only what `kept` makes of each object is kept."""

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
        metadata_only: bool = False,
        kept: Callable[[Manifest], Manifest] = dict,
    ) -> None:
        self.kind = kind
        self._kept = kept
        self.synced = asyncio.Event()
        self._cluster = cluster
        self.namespace = namespace
        self._labels = labels
        self._fields = fields
        self._changed = changed
        # without a label to group by, no object is kept: only names are watched, not contents
        self._metadata_only = metadata_only or group_label is None
        self._group_label = group_label
        self._objects: dict[Key, Manifest] = {}
        self._groups: dict[tuple[str, str], set[Key]] = {}
        self._reached = 0
        self._failures = 0
        self.failure: str | None = None
        """Why the last try to list or watch failed; None once a list has come."""
        self.followed_since: float | None = None
        """Since when, on the event loop's clock, no change can have been missed; None while some may be."""

    def of(self, namespace: str, group: str) -> list[Manifest]:
        """The objects of a namespace whose group label has this value."""
        return [self._objects[key] for key in sorted(self._groups.get((namespace, group), ()), key=_name)]

    def put(self, manifest: Manifest) -> None:
        """Takes the answer to our own write: the copy need not wait for its event. Ignored if the watch is
        already past it, even if it reported the object as deleted."""
        if not 0 < version_of(manifest) <= self._reached:
            self._keep(manifest)

    def _keep(self, item: Manifest) -> None:
        """Takes an object into the copy, unless the copy has a later one. Reports the group that the object
        left as changed, too."""
        group, key = self._group(item), self._key(item)
        before = self._objects.get(key)
        if group is None or (before is not None and _is_older(item, before)):
            return
        self._remove(key)
        self._objects[key] = self._kept(item)
        self._groups.setdefault(group, set()).add(key)
        if before is not None and self._group(before) != group:
            self._changed(before)

    def _drop(self, item: Manifest) -> None:
        there = self._objects.get(self._key(item))
        # a later version is another object of the same name, made since
        if there is not None and not _is_older(item, there):
            self._remove(self._key(item))

    def _remove(self, key: Key) -> None:
        there = self._objects.pop(key, None)
        group = None if there is None else self._group(there)
        if group is not None and group in self._groups:
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
        while True:
            try:
                version: str | None = await self._list()
                while version is not None:
                    version = await self._follow(version)
            except KubeError as error:
                self.followed_since, self.failure = None, str(error)
                self._failures += 1
                if error.status == 410 and self._failures == 1:
                    continue  # the version is too old to continue from
                pause = BACKOFF.pause(self._failures)
                log.warning("watch.broken", kind=self.kind.name, error=str(error), retry_seconds=pause)
                await asyncio.sleep(pause)
            except Exception as error:
                # Whatever it was, a copy that is not followed would hold up all services.
                self.followed_since, self.failure = None, repr(error)
                self._failures += 1
                log.exception("watch.crashed", kind=self.kind.name)
                await asyncio.sleep(BACKOFF.pause(self._failures))

    async def _list(self) -> str:
        items, version = await self._cluster.list(
            self.kind,
            self.namespace,
            labels=self._labels,
            fields=self._fields,
            metadata_only=self._metadata_only,
            kept=self._kept if self._group_label else _named,
        )
        went_back, self._reached = 0 < number_of(version) < self._reached, number_of(version)
        # A list is the truth at its version, even where it has an older version of an object than was known:
        # then etcd was restored from a backup, and versions continue from lower ones. What our own writes
        # made after the list's version is kept. But if the list's version itself went back, no known version
        # means anything.
        before = {
            key: each for key, each in self._objects.items() if went_back or version_of(each) <= self._reached
        }
        for key in before:
            self._remove(key)
        for item in items:
            self._keep(item)
        if self.followed_since is None:
            self.followed_since = asyncio.get_running_loop().time()
        self.failure = None
        self.synced.set()
        for each in (*items, *(each for each in before.values() if self._has_left(each))):
            self._changed(each)
        return version

    def _has_left(self, item: Manifest) -> bool:
        """Whether the object is gone, or in another group."""
        there = self._objects.get(self._key(item))
        return there is None or self._group(there) != self._group(item)

    async def _follow(self, version: str) -> str | None:
        """The version to continue from; None if nothing came at all, not even a bookmark, of which one comes
        each minute: something in between may hold back the stream, also the next time."""
        events = self._cluster.watch(
            self.kind,
            self.namespace,
            version,
            labels=self._labels,
            fields=self._fields,
            metadata_only=self._metadata_only,
        )
        began, seen = asyncio.get_running_loop().time(), False
        async for event, item in events:
            version, seen = item["metadata"]["resourceVersion"], True
            if 0 < number_of(version) < self._reached:
                raise KubeError(0, "WatchBroken", f"{version} came after {self._reached}")
            self._reached, self._failures = number_of(version), 0
            if event == "BOOKMARK":
                continue
            item |= {"apiVersion": self.kind.api_version, "kind": self.kind.name}
            if event == "DELETED":
                self._drop(item)
                self._changed(item)
            else:
                self._take(item)
        if not seen and asyncio.get_running_loop().time() - began < SHORTEST_WATCH_SECONDS:
            raise KubeError(0, "WatchBroken", "it ended as soon as it began")
        return version if seen else None

    def _take(self, item: Manifest) -> None:
        self._keep(item)
        self._changed(item)

    def _key(self, item: Manifest) -> Key:
        return Key(self.kind, item["metadata"]["namespace"], item["metadata"]["name"])


def _named(item: Manifest) -> Manifest:
    """The fields of an object that is not kept."""
    wanted = ("name", "namespace", "resourceVersion")
    return {"metadata": {field: item["metadata"].get(field, "") for field in wanted}}


def _name(key: Key) -> str:
    return key.name


def _is_older(one: Manifest, other: Manifest) -> bool:
    return 0 < version_of(one) < version_of(other)


def version_of(manifest: Mapping[str, Any]) -> int:
    """An object's resource version; 0 if it has none."""
    return number_of(manifest["metadata"].get("resourceVersion", ""))


def number_of(version: str) -> int:
    """A resource version as a number; it grows with each change of a kind's objects. 0 for what is no
    number."""
    return int(version) if version.isdecimal() else 0
