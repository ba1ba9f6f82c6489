"""Kinds that a cluster may or may not have, and that come and go while the operator runs. The API server is
asked repeatedly which of them exist, and those that do are watched.

A kind that this operator may not list is reported, and tried again; no kind holds up any service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, Literal

import structlog

from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.informer import Informer
from lgs_operator.kube.kinds import Kind, Manifest, ServiceKey, key_of
from lgs_operator.naming import OURS, SERVICE_LABEL

log = structlog.get_logger(__name__)
FORBIDDEN: Final = 403
LOOK_SECONDS: Final = 5.0
"""Seconds between two looks at which kinds exist."""
Place = tuple[Kind, str | None]


@dataclass
class _Watched:
    informer: Informer
    task: asyncio.Task[None]


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
        self._forbidden: dict[Place, str] = {}

    def standing(self, kind: Kind, namespace: str) -> Literal["there", "absent", "forbidden", "unknown"]:
        """Whether a kind can be used in a namespace. Unknown: not all of its objects are seen yet."""
        place = self._place(kind, namespace)
        if place in self._forbidden:
            return "forbidden"
        if place not in self._watched:
            return "absent"
        return "there" if self._watched[place].informer.synced.is_set() else "unknown"

    def why_forbidden(self, kind: Kind, namespace: str) -> str:
        """What the API server said when it refused."""
        return self._forbidden.get(self._place(kind, namespace), "")

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
                except KubeError as error:
                    # Continue with the kinds that were known.
                    log.info("kinds.unlisted", error=str(error))
                except Exception:
                    log.exception("kinds.crashed")
                self.looked.set()
                await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, tasks: asyncio.TaskGroup) -> None:
        versions = {kind.api_version for kind, _ in self._places}
        served = {version: await self._cluster.served(version) for version in versions}
        for place in self._places:
            kind, namespace = place
            if kind.name not in served[kind.api_version]:
                self._leave(place)
                continue
            try:
                if place not in self._watched and await self._may_list(place):
                    self._watch(place, tasks)
            except KubeError as error:
                # An error in one namespace, which may be going: look at the others all the same.
                log.info("kind.unlisted", kind=kind.name, namespace=namespace, error=str(error))

    def _leave(self, place: Place) -> None:
        """Stops watching a kind that is gone."""
        was_forbidden = self._forbidden.pop(place, None) is not None
        watched = self._watched.pop(place, None)
        if watched is not None:
            watched.task.cancel()
        if watched is not None or was_forbidden:
            log.info("kind.gone", kind=place[0].name, namespace=place[1])
            self._moved(place[1])

    async def _may_list(self, place: Place) -> bool:
        kind, namespace = place
        try:
            await self._cluster.list(kind, namespace, labels=OURS, metadata_only=True)
        except KubeError as error:
            if error.status != FORBIDDEN:
                raise
            if place not in self._forbidden:
                log.warning("kind.forbidden", kind=kind.name, namespace=namespace, error=str(error))
                self._forbidden[place] = str(error)
                self._moved(namespace)
            return False
        self._forbidden.pop(place, None)
        return True

    def _watch(self, place: Place, tasks: asyncio.TaskGroup) -> None:
        kind, namespace = place
        informer = Informer(
            self._cluster,
            kind,
            namespace=namespace,
            labels=OURS,
            changed=self._changed,
            group_label=SERVICE_LABEL,
        )
        task = tasks.create_task(self._follow(informer), name=f"watch {kind.name}")
        self._watched[place] = _Watched(informer, task)

    async def _follow(self, informer: Informer) -> None:
        """Watches a kind, and reports when all of its objects are seen."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(informer.run())
            await informer.synced.wait()
            self._moved(informer.namespace)

    def _place(self, kind: Kind, namespace: str) -> Place:
        return (kind, None) if (kind, None) in self._places else (kind, namespace)
