"""What kopf watches: the services. Each event only updates the state; the work is elsewhere.

kopf ends by an error in the stream of a watch (a server's 500), and when it lists anew it does not report
what was deleted meanwhile. The first is started again, the second searched for.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
from contextlib import suppress
from typing import Any, Final

import kopf
import structlog

from lgs_crds import GROUP, KIND, PLURAL, VERSION
from lgs_operator.backoff import Backoff
from lgs_operator.kube.client import KubeClient, KubeError
from lgs_operator.kube.kinds import SERVICE_OF_OURS
from lgs_operator.kube.state import ClusterState

log = structlog.get_logger(__name__)
BACKOFF = Backoff(first_seconds=0.5, longest_seconds=10.0)
RELIST_SECONDS: Final = 10.0


def registry(state: ClusterState) -> kopf.OperatorRegistry:
    """The handlers, bound to this state."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.startup(registry=handlers)
    async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.enabled = False
        settings.scanning.disabled = True
        # nothing is in flight in kopf when it ends: the Lease must be given back quickly
        settings.batching.idle_timeout = 1.0
        settings.batching.exit_timeout = 0.2
        settings.watching.server_timeout = 290
        settings.watching.reconnect_backoff = 0.5
        settings.networking.error_backoffs = [0.5, 1, 2, 5, 10]

    @kopf.on.login(registry=handlers)
    async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=handlers)
    async def seen(event: kopf.RawEvent, **_: Any) -> None:
        state.service_seen(event["object"], gone=event["type"] == "DELETED")

    return handlers


async def watch(state: ClusterState, namespaces: tuple[str, ...], stop: asyncio.Event) -> None:
    """Runs kopf until `stop` is set or a signal came, which kopf takes over from us while it runs."""
    for failures in itertools.count(1):
        try:
            await kopf.operator(
                registry=registry(state),
                namespaces=list(namespaces),
                clusterwide=not namespaces,
                standalone=True,
                stop_flag=stop,
            )
        except Exception:
            log.exception("watch.crashed", kind=KIND)
        else:
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), BACKOFF.pause(failures))
            return


async def relist_services(cluster: KubeClient, state: ClusterState, namespaces: tuple[str, ...]) -> None:
    """Removes services that no longer exist from the state, again and again until cancelled."""
    while True:
        await asyncio.sleep(RELIST_SECONDS)
        before = state.seen()
        there = set()
        try:
            for namespace in namespaces or (None,):
                found, _ = await cluster.list(SERVICE_OF_OURS, namespace, metadata_only=True)
                there |= {each["metadata"]["uid"] for each in found}
        except KubeError as error:
            log.info("services.unlisted", error=str(error))
            continue
        for body in before:
            if body["metadata"]["uid"] not in there:
                state.service_seen(body, gone=True)
