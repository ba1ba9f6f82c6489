"""What kopf watches: the services. An event only updates the state; the work is done elsewhere.

kopf ends when the stream of a watch fails (a 500 of the server): it is started again. When kopf lists anew,
it does not report what was deleted meanwhile: `relist` searches for that. If the API server does not serve
the definition of the services when kopf looks for it, kopf reports nothing from then on, and says so only in
its log. That happens for a moment after a restart of etcd
(https://github.com/kubernetes/kubernetes/issues/71218) or a new installation of the CRD. So kopf is started
only once the definition is served, and anew when it does not report services that are listed.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

import kopf
import structlog

from lgs_crds import GROUP, KIND, PLURAL, VERSION
from lgs_operator.backoff import Backoff
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.informer import number_of, version_of
from lgs_operator.kube.kinds import SERVICE_OF_OURS, Manifest, ServiceKey
from lgs_operator.kube.state import ClusterState

log = structlog.get_logger(__name__)
BACKOFF = Backoff(first_seconds=0.5, longest_seconds=10.0)
FORBIDDEN: Final = 403
CHUNK: Final = 2
"""Services that kopf lists at a time: a megabyte of JSON may take forty in memory."""
RELIST_SECONDS: Final = 10.0
UNDEFINED_SECONDS: Final = 1.0
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
STEADY_SECONDS: Final = 60.0
"""A watch that ran for this many seconds is restarted with the first, shortest pause."""


class NoDiffs(kopf.DiffBaseStorage):
    """Has kopf compare nothing: no handler here asks what has changed. kopf's own storage copies the whole
    object at each event, which takes a second for a megabyte of JSON, and fails on an annotation that anybody
    may write."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """An empty essence: nothing is compared."""
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """None: nothing was kept."""
        return None

    def store(self, **_: Any) -> None:
        """Stores nothing."""


def tune(settings: kopf.OperatorSettings) -> None:
    """Configures kopf for this operator: it only lists and watches the services, and reports them."""
    settings.posting.enabled = False
    settings.scanning.disabled = True
    # `idle_timeout` is how long kopf keeps a service after reporting it. `exit_timeout` is short because kopf
    # has nothing in flight when it ends, and the Lease must be given back quickly.
    settings.batching.idle_timeout = 0.1
    settings.batching.exit_timeout = 0.2
    settings.watching.server_timeout = 290
    settings.watching.chunk_size = CHUNK
    settings.persistence.diffbase_storage = NoDiffs()
    settings.watching.reconnect_backoff = 0.5
    settings.networking.error_backoffs = [0.5, 1, 2, 5, 10]


def registry(
    seen: Callable[[Mapping[str, Any], bool], None], asked: Callable[[], None]
) -> kopf.OperatorRegistry:
    """kopf's handlers. `seen` is called with each service that came or changed (False) or is gone (True);
    `asked` when a signal asks to stop."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.startup(registry=handlers)
    async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        # kopf's own signal handlers have no effect once it ends for another reason, as for another choice of
        # namespaces
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, asked)
        tune(settings)

    @kopf.on.login(registry=handlers)
    async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=handlers)
    async def told(event: kopf.RawEvent, **_: Any) -> None:
        seen(event["object"], event["type"] == "DELETED")

    return handlers


class ServiceWatch:
    """Keeps the state informed about the services while both `run` and `relist` run. `relist_seconds` is the
    time between two lists."""

    def __init__(
        self,
        cluster: KubeClient,
        state: ClusterState,
        namespaces: tuple[str, ...],
        *,
        relist_seconds: float = RELIST_SECONDS,
    ) -> None:
        self._cluster = cluster
        self._state = state
        self._namespaces = namespaces
        self._relist_seconds = relist_seconds
        self._renew = asyncio.Event()
        self._asked = asyncio.Event()
        self._reached: dict[str | None, int] = {}
        """The last version of each namespace's list; a lower one means that versions went back."""
        self._refused: frozenset[str] = frozenset()
        """Namespaces in which we may not list services. kopf is not given them, since they would end it."""

    async def run(self, stop: asyncio.Event) -> None:
        """Runs until `stop` is set or a signal came; while kopf runs, it receives the signals."""
        failures = 0
        while True:
            await self._defined(stop)
            self._renew.clear()
            began = asyncio.get_running_loop().time()
            try:
                await self._follow(stop)
            except Exception:
                log.exception("watch.crashed", kind=KIND)
            else:
                if stop.is_set() or self._asked.is_set() or not self._renew.is_set():
                    return
            for number in SIGNALS:
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            with suppress(TimeoutError):
                ran = asyncio.get_running_loop().time() - began
                failures = 1 if ran > STEADY_SECONDS else failures + 1
                await asyncio.wait_for(stop.wait(), BACKOFF.pause(failures))
                return

    async def relist(self) -> None:
        """Removes services that no longer exist from the state, and restarts kopf when it does not report
        services that came or changed. Repeats until cancelled."""
        late: Mapping[str, int] = {}
        while True:
            await asyncio.sleep(self._relist_seconds)
            before = self._state.seen()
            found, listed, refused = await self._list()
            there = _versions(found)
            if listed and refused != self._refused:
                log.warning("watch.namespaces", kind=KIND, refused=sorted(refused))
                self._renew.set()
            for body in before:
                is_listed = listed & {None, body["metadata"]["namespace"]}
                if is_listed and body["metadata"]["uid"] not in there:
                    self._state.service_seen(body, gone=True)
            self._forget(went_back(before, found))
            known = _versions(self._state.seen())
            if is_deaf(late, there, known):
                log.warning("watch.deaf", kind=KIND, services=len(late))
                self._renew.set()
            late = {uid: number for uid, number in there.items() if known.get(uid, 0) < number}

    def seen(self, body: Mapping[str, Any], gone: bool) -> None:
        """Takes kopf's report of a service."""
        key = ServiceKey(body["metadata"]["namespace"], body["metadata"]["name"])
        known = self._state.seen_of(key)
        if known is not None and not gone and (restored := went_back([known], [body])):
            self._forget(restored)
        else:
            self._state.service_seen(body, gone=gone)

    def _forget(self, restored: Collection[Mapping[str, Any]]) -> None:
        """Forgets services that an etcd restore set back: what is known and was reported about them never
        happened. kopf may continue from the old versions and then hears nothing, so it is restarted and
        reports them again."""
        if restored:
            log.warning("watch.went_back", kind=KIND, services=len(restored))
            for body in restored:
                self._state.service_seen(body, gone=True)
            self._renew.set()

    async def _defined(self, stop: asyncio.Event) -> None:
        """Waits for the CustomResourceDefinition, which may be installed after the operator, or anew. One
        namespace that can be listed is enough: another may be gone."""
        while not stop.is_set():
            _, listed, self._refused = await self._list()
            if listed:
                return
            log.warning("operator.waits_for_crd")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), UNDEFINED_SECONDS)

    async def _follow(self, stop: asyncio.Event) -> None:
        """Runs kopf until it must stop or restart. Forgets the services of namespaces that kopf is not given:
        what is known about them may be wrong when they are watched again."""
        for body in self._state.seen():
            if body["metadata"]["namespace"] in self._refused:
                self._state.service_seen(body, gone=True)
        end = asyncio.Event()
        relays = [asyncio.create_task(_passed_on(each, end)) for each in (stop, self._renew, self._asked)]
        try:
            await kopf.operator(
                registry=registry(self.seen, self._asked.set),
                namespaces=[each for each in self._namespaces if each not in self._refused],
                clusterwide=not self._namespaces,
                standalone=True,
                stop_flag=end,
            )
        finally:
            for each in relays:
                each.cancel()

    async def _list(self) -> tuple[list[Manifest], set[str | None], frozenset[str]]:
        """The services, the namespaces that were listed, and those where listing is refused."""
        found, listed, refused = list[Manifest](), set[str | None](), set[str]()
        for namespace in self._namespaces or (None,):
            try:
                found += await self._listed(namespace)
                listed.add(namespace)
            except KubeError as error:
                log.info("services.unlisted", error=str(error))
                if namespace is not None and error.status == FORBIDDEN:
                    refused.add(namespace)
        return found, listed, frozenset(refused)

    async def _listed(self, namespace: str | None) -> list[Manifest]:
        found, version = await self._cluster.list(
            SERVICE_OF_OURS, namespace, metadata_only=True, kept=_identified
        )
        before, self._reached[namespace] = self._reached.get(namespace, 0), number_of(version)
        if 0 < self._reached[namespace] < before:
            # No known service need have gone back; kopf would still miss changes, annotations included.
            log.warning("watch.went_back", kind=KIND, services=0)
            self._renew.set()
        return found


def _identified(service: Manifest) -> Manifest:
    """The fields of a listed service that are compared."""
    wanted = ("namespace", "name", "uid", "generation", "resourceVersion")
    return {"metadata": {field: service["metadata"][field] for field in wanted}}


def _versions(services: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The version of each service by its uid. Falls back to the generation only where versions are no
    numbers: an annotation that asks for something does not change the generation."""
    return {each["metadata"]["uid"]: version_of(each) or each["metadata"]["generation"] for each in services}


def went_back(
    known: Iterable[Mapping[str, Any]], listed: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """The known services that were listed since with a lower version: etcd was restored from a backup, where
    versions start again from an older number (https://github.com/kubernetes/kubernetes/issues/107457)."""
    there = {each["metadata"]["uid"]: version_of(each) for each in listed}
    return [each for each in known if 0 < there.get(each["metadata"]["uid"], 0) < version_of(each)]


def is_deaf(late: Mapping[str, int], there: Mapping[str, int], known: Mapping[str, int]) -> bool:
    """Whether kopf misses changes: of all services whose listed version was unknown at the last list, none
    has been reported since, though they exist. All arguments map uids to versions. If only some are reported,
    kopf is merely slow."""
    awaited = {uid: number for uid, number in late.items() if uid in there}
    return bool(awaited) and all(known.get(uid, 0) < number for uid, number in awaited.items())


async def _passed_on(one: asyncio.Event, other: asyncio.Event) -> None:
    await one.wait()
    other.set()
