"""Replicas for the tests: the real parts over a real database, in this process, to be killed or drained at
will."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.graphs.registry import default_assistant_id
from lgs_runtime.model import NewRun, QueueLimits, Run
from lgs_runtime.opening import open_services
from lgs_runtime.run_kwargs import RunKwargs
from lgs_runtime.services import Services
from lgs_runtime.settings import Settings
from support.leases import LONG_SECONDS, REAPS_PER_LONG_LEASE
from support.ports import PATIENCE_SECONDS

HERE = Path(__file__).parent
GRAPHS = (
    "three_steps",
    "fan",
    "asking",
    "raising",
    "raising_what_has_no_text",
    "blocking",
    "writing",
    "jumping",
    "cached",
    "factory",
    "tidying",
    "tidying_alone",
    "stubborn",
    "stalling",
)


class Replica:
    """One replica that claims by itself."""

    def __init__(self, services: Services, stack: AsyncExitStack) -> None:
        self.services = services
        self._stack = stack

    async def start(self, graph: str, kwargs: RunKwargs, thread_id: str | None = None, **more: Any) -> Run:
        """Stores a run and returns at once."""
        new = NewRun(
            run_id=str(uuid4()),
            thread_id=thread_id or str(uuid4()),
            assistant_id=default_assistant_id(graph),
            kwargs=kwargs.to_json(),
            create_thread=True,
            **more,
        )
        enqueued = await self.services.storage.queue.enqueue(new, QueueLimits())
        return enqueued.run

    async def ended(self, run: Run) -> Run | None:
        """The run when it has ended."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.services.notifier.finished(run.run_id)

    async def close(self) -> None:
        await self._stack.aclose()


@pytest.fixture
def settings(database_uri: str, tmp_path: Path) -> Settings:
    return Settings(
        graphs={name: GraphSpec(f"./stories.py:{name}") for name in GRAPHS},
        source=HERE,
        import_paths=(HERE,),
        database_uri=database_uri,
        data_dir=tmp_path / "data",
        lease_seconds=LONG_SECONDS,
        drain_seconds=4.0,
        lame_duck_seconds=0.0,
        reuse_port=True,
    )


@pytest.fixture
async def new_replica(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Any]]:
    """Replicas that take what others lost as soon as their leases run out."""
    monkeypatch.setattr("lgs_runtime.background.duties.REAPS_PER_LEASE", REAPS_PER_LONG_LEASE)
    opened: list[Replica] = []

    async def new(name: str, **changes: Any) -> Replica:
        stack = AsyncExitStack()
        own = replace(settings, replica_id=name, **changes)
        services = await open_services(own, stack, asyncio.Event())
        await services.worker.start()
        opened.append(Replica(services, stack))
        return opened[-1]

    yield new
    for each in opened:
        await each.services.worker.drain(0)
        await each.close()


@pytest.fixture
def new_process(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Replicas as processes of their own, which can be killed as the kernel does it."""
    started: list[subprocess.Popen[bytes]] = []

    def new(name: str, **env: str) -> subprocess.Popen[bytes]:
        variables = {
            **os.environ,
            "LGS_SOURCE": str(HERE),
            "LANGSERVE_GRAPHS": json.dumps({graph: f"./stories.py:{graph}" for graph in GRAPHS}),
            "DATABASE_URI": settings.database_uri,
            "LGS_DATA_DIR": str(settings.data_dir),
            "LGS_REPLICA_ID": name,
            "LGS_LEASE_SECONDS": str(settings.lease_seconds),
            "LGS_DRAIN_SECONDS": str(settings.drain_seconds),
            "LGS_LAME_DUCK_SECONDS": "0",
            **env,
        }
        command = [sys.executable, "-m", "lgs_runtime.cli", "serve", "--port", "0", "--reuse-port"]
        with (tmp_path / f"{name}.log").open("ab") as log:
            started.append(subprocess.Popen(command, env=variables, cwd=tmp_path, stdout=log, stderr=log))
        return started[-1]

    yield new
    for process in started:
        process.kill()
        process.wait()
