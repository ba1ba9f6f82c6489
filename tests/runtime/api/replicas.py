"""A replica in this process, opened as `lgs-runtime serve` opens one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from api_limits import client_of
from langgraph_sdk.client import LangGraphClient

from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.opening import open_services
from lgs_runtime.server import bind, prepare, serve, take_work
from lgs_runtime.services import Services
from lgs_runtime.settings import Settings
from support.leases import LONG_SECONDS
from support.unhurried import OF_REDIS, patience

GRAPHS = (
    "steps",
    "chat",
    "slow",
    "broken",
    "asks",
    "nested",
    "asks_twice",
    "asks_inside",
    "remembers",
    "deltas",
    "deltas_inside",
    "tutorial",
    "tutorial_with_store",
    "settings",
    "deep",
    "asks_both",
    "chat_inside",
)
OUTPUTS = (
    "private",
    "private_factory",
    "private_asks",
    "private_waits",
    "private_fails",
    "private_inside",
    "shy",
    "gives_none",
    "number",
    "number_asks",
    "listed",
    "named",
)


@dataclass(frozen=True)
class Replica:
    """A replica that serves, and a stock client of it."""

    url: str
    client: LangGraphClient
    services: Services


@asynccontextmanager
async def open_replica(settings: Settings) -> AsyncIterator[Replica]:
    """Opens a replica as `lgs-runtime serve` does, on a free port."""
    async with AsyncExitStack() as stack:
        with patience(OF_REDIS):
            services = await open_services(settings, stack, asyncio.Event())
            listener = bind(settings)
            listener.listen()
            await stack.enter_async_context(serve(services, [listener]))
            await prepare(services, asyncio.Event())
            await take_work(services)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = await stack.enter_async_context(client_of(url))
        yield Replica(url, client, services)
        await services.worker.drain(0.1)


def settings_of(folder: Path, uris: dict[str, Any]) -> Settings:
    """Settings over a database. The shared port lets replicas without Redis see each other's streams."""
    return Settings(
        graphs={
            **{name: GraphSpec(f"api_graphs:{name}") for name in GRAPHS},
            **{name: GraphSpec(f"api_outputs:{name}") for name in OUTPUTS},
            "values": GraphSpec("support.values:values"),
        },
        source=folder,
        data_dir=folder,
        service=f"api-{uuid4().hex[:8]}",
        replica_id="a",
        port=0,
        lease_seconds=LONG_SECONDS,
        reuse_port="redis_uri" not in uris,
        drain_seconds=0.1,
        lame_duck_seconds=0.0,
        max_body_bytes=64 * 1024,
        **uris,
    )
