"""What kopf watches: the services. Each event only updates the state; the work is elsewhere.

kopf ends by an error in the stream of a watch (a server's 500), and when it lists anew it does not report
what was deleted meanwhile. The first is started again, the second searched for. Where the API server does not
serve the definition of the services when kopf looks for it, as for a moment after a restart of etcd
(https://github.com/kubernetes/kubernetes/issues/71218) or of the CRD, kopf reports nothing ever after, and
says so in its log alone: it begins when the definition is served, and anew when what is listed does not come.
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
"""Services that kopf lists at a time: a megabyte of JSON may be forty in memory."""
RELIST_SECONDS: Final = 10.0
UNDEFINED_SECONDS: Final = 1.0
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
STEADY_SECONDS: Final = 60.0
"""Who watched for so long begins anew as soon as at first."""


class NoDiffs(kopf.DiffBaseStorage):
    """kopf compares nothing: no handler here asks what has changed. Its own storage copies the whole object
    at each event, a second for a megabyte of JSON, and fails by an annotation that anybody may write."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Nothing of it is compared."""
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """Nothing was kept."""
        return None

    def store(self, **_: Any) -> None:
        """Keeps nothing."""


def tune(settings: kopf.OperatorSettings) -> None:
    """kopf as this operator uses it: it lists and watches the services, and tells of them."""
    settings.posting.enabled = False
    settings.scanning.disabled = True
    # nothing is in flight in kopf when it ends: the Lease must be given back quickly
    # so long kopf keeps a service that it has told of
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
    """The handlers. `seen` is called with each service that came or changed, and with each that is gone;
    `asked` when a signal asks to stop."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.startup(registry=handlers)
    async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        # kopf's own are void once it ends for another reason, as for another choice of namespaces
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
    """Has the state told of the services while both `run` and `relist` run. `relist_seconds`: from one list
    of them to the next."""

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
        """The version of each namespace's list, to be later than that of the one before."""
        self._refused: frozenset[str] = frozenset()
        """Namespaces in which we may not list the services, which kopf leaves out: it would end by them."""

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set or a signal came, of which kopf is told while it runs."""
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
        """Removes services that no longer exist from the state, and has kopf begin anew where it tells of
        none that came or changed, again and again until cancelled."""
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
        """What kopf tells of a service."""
        key = ServiceKey(body["metadata"]["namespace"], body["metadata"]["name"])
        known = self._state.seen_of(key)
        if known is not None and not gone and (restored := went_back([known], [body])):
            self._forget(restored)
        else:
            self._state.service_seen(body, gone=gone)

    def _forget(self, restored: Collection[Mapping[str, Any]]) -> None:
        """What is known and was said of them is of a time that never was. kopf, which may go on from there
        and is deaf then, begins anew and tells of them again."""
        if restored:
            log.warning("watch.went_back", kind=KIND, services=len(restored))
            for body in restored:
                self._state.service_seen(body, gone=True)
            self._renew.set()

    async def _defined(self, stop: asyncio.Event) -> None:
        """Waits for the CustomResourceDefinition, which may be installed after the operator, or anew. One
        namespace that can be listed is enough: another one may be gone."""
        while not stop.is_set():
            _, listed, self._refused = await self._list()
            if listed:
                return
            log.warning("operator.waits_for_crd")
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), UNDEFINED_SECONDS)

    async def _follow(self, stop: asyncio.Event) -> None:
        """Runs kopf until it is to stop, or to begin anew. Services of a namespace that it leaves out are not
        known any more: what was known of them may be of others when it is watched again."""
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
        """The services, the namespaces that were listed, and those in which that is refused."""
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
            # No service need be as it was before; kopf would be deaf even so, also to annotations.
            log.warning("watch.went_back", kind=KIND, services=0)
            self._renew.set()
        return found


def _identified(service: Manifest) -> Manifest:
    """What is compared of one that is listed."""
    wanted = ("namespace", "name", "uid", "generation", "resourceVersion")
    return {"metadata": {field: service["metadata"][field] for field in wanted}}


def _versions(services: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Of each by its uid. A generation stays where an annotation asks for something: it stands in only where
    versions are no numbers."""
    return {each["metadata"]["uid"]: version_of(each) or each["metadata"]["generation"] for each in services}


def went_back(
    known: Iterable[Mapping[str, Any]], listed: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Those of the known services that were listed since with a lower version: etcd was restored from a
    backup, and versions begin again there (https://github.com/kubernetes/kubernetes/issues/107457)."""
    there = {each["metadata"]["uid"]: version_of(each) for each in listed}
    return [each for each in known if 0 < there.get(each["metadata"]["uid"], 0) < version_of(each)]


def is_deaf(late: Mapping[str, int], there: Mapping[str, int], known: Mapping[str, int]) -> bool:
    """Nothing of what was not known when the services were listed last is known by now, though it is there:
    versions by uid. One that is told while others are not yet is only slow."""
    awaited = {uid: number for uid, number in late.items() if uid in there}
    return bool(awaited) and all(known.get(uid, 0) < number for uid, number in awaited.items())


async def _passed_on(one: asyncio.Event, other: asyncio.Event) -> None:
    await one.wait()
    other.set()
