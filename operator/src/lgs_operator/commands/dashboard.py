"""`lgs dashboard`: the page for the services of a cluster, on this machine, with the rights of who
started it: services by the kubeconfig, sessions by the token that is given on the page."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated, Final

import typer

from lgs_operator.commands.console import refused, say
from lgs_operator.commands.on_cluster import Everywhere, Namespaces, services_in

if TYPE_CHECKING:
    from lgs_operator.kube.client import KubeClient
    from lgs_operator.kube.kinds import Manifest

OPERATORS: Final = "app.kubernetes.io/name=lgs-operator"
"""The label that the chart gives its pods."""


def dashboard(
    *,
    namespace: Namespaces = None,
    everywhere: Everywhere = False,
    operator_namespace: Annotated[
        str, typer.Option(help="Where the operator runs, which has the history.")
    ] = "lgs-system",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")] = 8124,
) -> None:
    """Show the services of a cluster in a browser: scaling over time, decisions, sessions."""
    # What only this command needs takes a while to import.
    from lgs_operator.kube.errors import KubeError  # noqa: PLC0415

    if everywhere and namespace is not None:
        raise refused(ValueError(f"--namespace {namespace} is given with --all-namespaces: leave one out"))
    try:
        asyncio.run(_serve(namespace, operator_namespace, port, everywhere=everywhere))
    except (KubeError, OSError) as error:
        raise refused(error) from None


async def _serve(namespace: str | None, operators: str, port: int, *, everywhere: bool) -> None:
    import aiohttp  # noqa: PLC0415

    from lgs_operator.dashboard.cluster import ClusterSource  # noqa: PLC0415
    from lgs_operator.dashboard.forwards import ForwardedWays, Forwards  # noqa: PLC0415
    from lgs_operator.dashboard.server import page_app, serve_loopback  # noqa: PLC0415
    from lgs_operator.dashboard.sources import Unread  # noqa: PLC0415
    from lgs_operator.kube.client import KubeClient  # noqa: PLC0415
    from lgs_operator.kube.errors import KubeError  # noqa: PLC0415

    async with AsyncExitStack() as stack:
        read = await stack.enter_async_context(services_in(namespace, everywhere=everywhere))
        await read()
        cluster = await KubeClient.connect()
        stack.push_async_callback(cluster.close)
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        forwards = Forwards(_kubectl())
        stack.push_async_callback(forwards.close)

        async def services() -> list[Manifest]:
            try:
                return await read()
            except KubeError as error:
                raise Unread(str(error)) from None

        async def pods() -> list[tuple[str, str]]:
            return await _operators(cluster, operators)

        source = ClusterSource(services, ForwardedWays(pods, forwards), session)
        found = await serve_loopback(stack, page_app(source), port)
        say(f"the page: http://127.0.0.1:{found}/", "Ctrl-C ends it")
        await _interrupted()


def _kubectl() -> tuple[str, ...]:
    """kubectl, for the cluster of now: a token that is given for it must go to no other, though the
    kubeconfig's current context becomes another while the page is open. Raises `KubeError`."""
    from lgs_operator.kube.kubeconfig import context_name  # noqa: PLC0415

    context = context_name()
    return ("kubectl",) if context is None else ("kubectl", "--context", context)


async def _operators(cluster: KubeClient, namespace: str) -> list[tuple[str, str]]:
    """The pods of the operator that can be asked; none where they may not be seen."""
    from lgs_operator.kube.errors import KubeError  # noqa: PLC0415
    from lgs_operator.kube.kinds import POD  # noqa: PLC0415
    from lgs_operator.kube.pods import is_going  # noqa: PLC0415

    try:
        found, _ = await cluster.list(POD, namespace, labels=OPERATORS)
    except KubeError:
        return []
    # for one that does not run kubectl waits a minute, and all who look at the page with it
    running = [
        each for each in found if not is_going(each) and each.get("status", {}).get("phase") == "Running"
    ]
    return [(namespace, each["metadata"]["name"]) for each in running]


async def _interrupted() -> None:
    stop = asyncio.Event()
    # that of a terminal which is closed among them: the ways to the cluster have a session of their own
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
