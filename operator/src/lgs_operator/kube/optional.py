"""Kinds that a cluster may or may not have, and that come and go while the operator runs, as do the rights to
them. The API server is asked repeatedly which of them exist and may be listed, and those are watched.

A kind that this operator may not list, or can't, is reported, and tried again; no kind holds up any service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import structlog

from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.informer import Informer
from lgs_operator.kube.kept_object import kept_object
from lgs_operator.kube.kinds import Kind, Manifest, ServiceKey, key_of
from lgs_operator.naming import OURS, SERVICE_LABEL

log = structlog.get_logger(__name__)
FORBIDDEN: Final = 403
LOOK_SECONDS: Final = 5.0
"""Seconds between two looks at which kinds exist."""
RIGHTS_SECONDS: Final = 30.0
"""Seconds after which it is tried again whether a kind that is watched may still be listed: the API server
lets a watch go on whose rights have been taken away."""
Place = tuple[Kind, str | None]
Standing = Literal["there", "absent", "forbidden", "unlisted", "unknown"]


@dataclass
class _Watched:
    informer: Informer
    task: asyncio.Task[None]
    tried_at: float


class _Lacking(NamedTuple):
    standing: Literal["forbidden", "unlisted"]
    said: str


class OptionalKinds:
    """Watches the optional kinds. `changed` is called with each of our objects that came, changed or went;
    `moved` with a namespace (None: all) when a kind becomes usable there, or stops being so."""

    def __init__(
        self,
        cluster: KubeClient,
        kinds: Collection[Kind],
        namespaces: Collection[str | None],
        changed: Callable[[Manifest], None],
        moved: Callable[[str | None], None],
    ) -> None:
        self.looked = asyncio.Event()
        """Set once the API server was asked, whatever it said."""
        self._cluster = cluster
        self._places: tuple[Place, ...] = tuple((kind, each) for kind in kinds for each in namespaces)
        self._changed = changed
        self._moved = moved
        self._watched: dict[Place, _Watched] = {}
        self._lacking: dict[Place, _Lacking] = {}

    def standing(self, kind: Kind, namespace: str) -> Standing:
        """Whether a kind can be used in a namespace. Forbidden: the operator may not list it. Unlisted: the
        API server can't, or does not say whether it has the kind. Unknown: not all objects are seen yet."""
        place = self._place(kind, namespace)
        if place in self._lacking:
            return self._lacking[place].standing
        if place not in self._watched:
            return "absent"
        return "there" if self._watched[place].informer.synced.is_set() else "unknown"

    def why(self, kind: Kind, namespace: str) -> str:
        """The API server's words about a kind that is forbidden or unlisted; empty for any other."""
        lacking = self._lacking.get(self._place(kind, namespace))
        return "" if lacking is None else lacking.said

    def of(self, key: ServiceKey, kinds: Collection[Kind]) -> list[Manifest]:
        """The objects of a service that are of these kinds."""
        informers = [watched.informer for (kind, _), watched in self._watched.items() if kind in kinds]
        return [each for informer in informers for each in informer.of(*key)]

    def put(self, manifest: Manifest) -> None:
        """Takes the API server's answer to our own write."""
        its = key_of(manifest)
        watched = self._watched.get(self._place(its.kind, its.namespace))
        if watched is not None:
            watched.informer.put(manifest)

    async def run(self) -> None:
        """Looks for kinds and watches them until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    await self._look(tasks)
                except Exception:
                    log.exception("kinds.crashed")
                self.looked.set()
                await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, tasks: asyncio.TaskGroup) -> None:
        versions = dict.fromkeys(kind.api_version for kind, _ in self._places)
        served = {version: await self._served(version) for version in versions}
        for place in self._places:
            kind, _ = place
            found = served[kind.api_version]
            if isinstance(found, KubeError):
                self._fails(place, found)
            elif kind.name not in found:
                self._leave(place)
            elif self._is_due(place):
                await self._try(place, tasks)
            self._note_unread(place)

    async def _served(self, version: str) -> frozenset[str] | KubeError:
        """The kinds of a group's version. An error is that group's alone."""
        try:
            return await self._cluster.served(version)
        except KubeError as error:
            log.info("kinds.unlisted", version=version, error=str(error))
            return error

    def _is_due(self, place: Place) -> bool:
        watched = self._watched.get(place)
        return watched is None or _now() - watched.tried_at >= RIGHTS_SECONDS

    async def _try(self, place: Place, tasks: asyncio.TaskGroup) -> None:
        """Watches a kind as long as it may be listed."""
        try:
            await self._cluster.try_list(*place)
        except KubeError as error:
            if error.status == FORBIDDEN:
                self._unwatch(place)
                self._lacks(place, _Lacking("forbidden", str(error)))
            else:
                self._fails(place, error)
            return
        if place in self._watched:
            self._watched[place].tried_at = _now()
        else:
            self._lacking.pop(place, None)
            self._watch(place, tasks)

    def _fails(self, place: Place, error: KubeError) -> None:
        """Notes a failure that takes no right away: what is watched goes on being watched, and what was
        forbidden stays so."""
        if place not in self._watched and self._standing(place) != "forbidden":
            self._lacks(place, _Lacking("unlisted", str(error)))

    def _note_unread(self, place: Place) -> None:
        """Notes a kind that is watched, and none of whose objects could be read so far."""
        watched = self._watched.get(place)
        if watched is not None and not watched.informer.synced.is_set() and watched.informer.failure:
            self._lacks(place, _Lacking("unlisted", watched.informer.failure))

    def _lacks(self, place: Place, lacking: _Lacking) -> None:
        is_new = self._standing(place) != lacking.standing
        self._lacking[place] = lacking
        if is_new:
            kind, namespace = place
            log.warning(f"kind.{lacking.standing}", kind=kind.name, namespace=namespace, error=lacking.said)
            self._moved(namespace)

    def _standing(self, place: Place) -> str | None:
        lacking = self._lacking.get(place)
        return None if lacking is None else lacking.standing

    def _leave(self, place: Place) -> None:
        """Stops watching a kind that is gone."""
        was_lacking = self._lacking.pop(place, None) is not None
        if self._unwatch(place) or was_lacking:
            log.info("kind.gone", kind=place[0].name, namespace=place[1])
            self._moved(place[1])

    def _unwatch(self, place: Place) -> bool:
        watched = self._watched.pop(place, None)
        if watched is not None:
            watched.task.cancel()
        return watched is not None

    def _watch(self, place: Place, tasks: asyncio.TaskGroup) -> None:
        kind, namespace = place
        informer = Informer(
            self._cluster,
            kind,
            namespace=namespace,
            labels=OURS,
            changed=self._changed,
            group_label=SERVICE_LABEL,
            kept=kept_object,
        )
        task = tasks.create_task(self._follow(place, informer), name=f"watch {kind.name}")
        self._watched[place] = _Watched(informer, task, _now())

    async def _follow(self, place: Place, informer: Informer) -> None:
        """Watches a kind, and reports when all of its objects are seen."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(informer.run())
            await informer.synced.wait()
            self._lacking.pop(place, None)
            self._moved(informer.namespace)

    def _place(self, kind: Kind, namespace: str) -> Place:
        return (kind, None) if (kind, None) in self._places else (kind, namespace)


def _now() -> float:
    return asyncio.get_running_loop().time()
