"""What kopf watches: the services. Each event only tells the state what it saw; the work is elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

import kopf

from lgs_crds import GROUP, PLURAL, VERSION
from lgs_operator.kube.state import ClusterState


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
    """Runs kopf until `stop` is set."""
    await kopf.operator(
        registry=registry(state),
        namespaces=list(namespaces),
        clusterwide=not namespaces,
        standalone=True,
        stop_flag=stop,
    )
