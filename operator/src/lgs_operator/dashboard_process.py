"""`lgs-operator dashboard`: the process of the page that a cluster serves, with rights to read services only.

It ends at SIGTERM; exit code 2 for invalid settings.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import structlog
from aiohttp import web

from lgs_operator.dashboard.cluster import ClusterSource
from lgs_operator.dashboard.places import Door
from lgs_operator.dashboard.protection import LOOPBACK
from lgs_operator.dashboard.served import served_page
from lgs_operator.dashboard.service_ways import ServiceWays
from lgs_operator.dashboard.sources import Unread
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import SERVICE_OF_OURS, Manifest
from lgs_operator.process_setup import prepare, stop_on_signals
from lgs_operator.settings import SettingsError, number

log = structlog.get_logger(__name__)
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?\Z")
_PATH: Final = re.compile(r"(/[A-Za-z0-9_-]+)*\Z")
_MOST_ASKED: Final = 16
"""Most requests to an operator at a time: many who look at the page must not weigh it down."""


@dataclass(frozen=True)
class DashboardSettings:
    """The settings of the page. Empty `namespaces` mean the whole cluster; `hosts` are the names that
    browsers may ask by, beside those of the loopback interface; `path` is empty or such as `/lgs`."""

    namespaces: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    path: str = ""
    operators: tuple[str, int] = ("localhost", 8082)
    token_file: Path = Path("/etc/lgs/page/token")
    max_connections: int = 400
    port: int = 8080
    probes_port: int = 8081


def from_environment(env: Mapping[str, str] | None = None) -> DashboardSettings:
    """The settings of this process. Raises `SettingsError`."""
    env = os.environ if env is None else env
    usual = DashboardSettings()
    host, _, port = env.get("LGS_DASHBOARD_OPERATORS", "").partition(":")
    return DashboardSettings(
        namespaces=_words(env, "LGS_DASHBOARD_NAMESPACES"),
        hosts=_hosts(env),
        path=_path(env),
        operators=(
            host or usual.operators[0],
            int(number({"LGS_DASHBOARD_OPERATORS": port}, "LGS_DASHBOARD_OPERATORS", usual.operators[1])),
        ),
        token_file=Path(env.get("LGS_DASHBOARD_TOKEN_FILE") or usual.token_file),
        max_connections=int(number(env, "LGS_DASHBOARD_MAX_CONNECTIONS", usual.max_connections)),
        port=int(number(env, "LGS_DASHBOARD_PORT", usual.port)),
        probes_port=int(number(env, "LGS_DASHBOARD_PROBES_PORT", usual.probes_port)),
    )


def main() -> int:
    """Serves the page until SIGTERM or SIGINT."""
    prepare()
    try:
        settings = from_environment()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    asyncio.run(serve(settings))
    return 0


async def serve(settings: DashboardSettings) -> None:
    """Serves the page until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    stop_on_signals(stop)
    async with AsyncExitStack() as stack:
        cluster = await KubeClient.connect()
        stack.push_async_callback(cluster.close)
        connector = aiohttp.TCPConnector(limit=_MOST_ASKED)
        session = aiohttp.ClientSession(connector=connector, trust_env=False)
        await stack.enter_async_context(session)
        ways = ServiceWays(cluster, settings.operators, settings.token_file)
        source = ClusterSource(_Services(cluster, settings.namespaces), ways, session)
        door = Door(settings.max_connections)
        app = served_page(source, door, LOOPBACK | set(settings.hosts), settings.path)
        port = await door.serve(stack, app, "0.0.0.0", settings.port)
        await _serve_probes(stack, settings.probes_port)
        log.info("dashboard.started", port=port, hosts=settings.hosts, path=f"{settings.path}/")
        await stop.wait()
    log.info("dashboard.stopped")


class _Services:
    """Reads the services of all namespaces. One namespace that can't be read, as one that is gone, hides no
    other; it is logged."""

    def __init__(self, cluster: KubeClient, namespaces: tuple[str, ...]) -> None:
        self._cluster = cluster
        self._namespaces = namespaces
        self._unread: dict[str, str] = {}

    async def __call__(self) -> list[Manifest]:
        """The services. Raises `Unread` if none of the namespaces can be read."""
        found, unread = list[Manifest](), dict[str, str]()
        for namespace in self._namespaces or (None,):
            try:
                found += (await self._cluster.list(SERVICE_OF_OURS, namespace, kept=_shown))[0]
            except KubeError as error:
                unread[namespace or ""] = str(error)
        if unread != self._unread:
            log.warning("dashboard.unread", namespaces=unread)
            self._unread = unread
        if len(unread) == len(self._namespaces or (None,)):
            raise Unread(next(iter(unread.values())))
        return found


def _shown(service: Manifest) -> Manifest:
    """What the page reads of a service."""
    said = service["metadata"]
    kept = {field: said.get(field, "") for field in ("namespace", "name", "uid")}
    return {"metadata": kept, "status": service.get("status")}


async def _serve_probes(stack: AsyncExitStack, port: int) -> None:
    """Answers the node's probes, at a port of their own: whoever takes all connections of the page must not
    have it started anew."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "0.0.0.0", port).start()


def _words(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in env.get(name, "").split(",") if each.strip())


def _hosts(env: Mapping[str, str]) -> tuple[str, ...]:
    name = "LGS_DASHBOARD_HOSTS"
    hosts = tuple(each.lower() for each in _words(env, name))
    for each in hosts:
        if not _HOST.match(each):
            raise SettingsError(f"{name}: {each}: must be host names without ports, between commas")
    return hosts


def _path(env: Mapping[str, str]) -> str:
    name = "LGS_DASHBOARD_PATH"
    text = env.get(name, "")
    if not _PATH.match(text):
        raise SettingsError(f"{name}: {text}: must be empty, or like /lgs")
    return text
