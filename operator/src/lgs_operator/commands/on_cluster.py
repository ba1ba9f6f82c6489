"""Services of the cluster that kubectl would ask, for commands about it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lgs_operator.kube.client import KubeClient
    from lgs_operator.kube.kinds import Manifest

    Services = Awaitable[list[Manifest]]


Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Its namespace.", show_default="the context's")
]
"""Option of a command about one service."""
Namespaces = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Theirs.", show_default="the context's")
]
Everywhere = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Those of all namespaces.")]
"""Options of a command about services."""


class NoSuchService(Exception):
    """There is no service of this name; says where."""


@asynccontextmanager
async def services_in(namespace: str | None, *, everywhere: bool) -> AsyncIterator[Callable[[], Services]]:
    """What reads the services of a namespace (None: the context's), or of all, as often as it is called.
    Raises `KubeError`."""
    from lgs_operator.kube.kinds import SERVICE_OF_OURS  # noqa: PLC0415

    # For all namespaces none is looked for: there may be no context, as in a pod.
    async with _connected("" if everywhere else namespace or None) as (cluster, where):

        async def read() -> list[Manifest]:
            return (await cluster.list(SERVICE_OF_OURS, where or None))[0]

        yield read


@asynccontextmanager
async def service_of(name: str, namespace: str | None) -> AsyncIterator[tuple[KubeClient, str, Manifest]]:
    """The cluster, the namespace (None: the context's) and the service. Raises `NoSuchService` and
    `KubeError`."""
    from lgs_operator.kube.kinds import SERVICE_OF_OURS  # noqa: PLC0415

    async with _connected(namespace) as (cluster, where):
        found = await cluster.get(SERVICE_OF_OURS, where, name)
        if found is None:
            raise NoSuchService(f"there is no LangGraphService {name} in namespace {where}")
        yield cluster, where, found


@asynccontextmanager
async def _connected(namespace: str | None) -> AsyncIterator[tuple[KubeClient, str]]:
    """The cluster, and the namespace that is meant. Raises `KubeError`."""
    # What only such commands need takes a while to import.
    from lgs_operator.kube.client import KubeClient  # noqa: PLC0415
    from lgs_operator.kube.kubeconfig import context_namespace  # noqa: PLC0415

    where = context_namespace() if namespace is None else namespace
    cluster = await KubeClient.connect()
    try:
        yield cluster, where
    finally:
        await cluster.close()
