"""A replica that has closed leaves nothing behind: no task, and nothing that asyncio has to complain of."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from lgs_runtime import server
from lgs_runtime.database import postgres_connections
from lgs_runtime.database.postgres import Database
from lgs_runtime.database.postgres_access import probe
from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.opening import open_services
from lgs_runtime.run_kwargs import RunKwargs
from lgs_runtime.settings import Settings
from lgs_runtime.store.backends import open_store
from runtime.core.conftest import Replica
from support.postgres import PostgresServer

_inside = ContextVar("_inside", default=False)
"""Whether this is done inside of `nothing_left`. A task inherits it from the one that creates it, so that
services of other tests, whose tasks come and go meanwhile, are not counted."""


@contextmanager
def nothing_left(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fails if a task of what is done inside goes on after it, or asyncio logs anything."""
    created: list[asyncio.Task[Any]] = []

    def create(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coroutine, loop=loop, **options)
        if _inside.get():
            created.append(task)
        return task

    loop = asyncio.get_running_loop()
    # What tests before this one left is reported now, and not counted.
    gc.collect()
    caplog.clear()
    caplog.set_level(logging.INFO, "asyncio")
    usual, token = loop.get_task_factory(), _inside.set(True)
    loop.set_task_factory(create)
    try:
        yield
    finally:
        _inside.reset(token)
        loop.set_task_factory(usual)
    names = [task.get_coro().__qualname__ for task in created if not task.done()]  # type: ignore[union-attr]
    assert created
    created.clear()
    # What was never awaited, or whose failure was not read, is reported when it is collected.
    gc.collect()
    told = [record.getMessage() for record in caplog.records if record.name == "asyncio"]
    assert (names, told) == ([], [])


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "redis"])
async def test_a_replica_that_served_and_closed_leaves_no_task(
    settings: Settings, shared: bool, tmp_path: Path, redis_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    own = replace(settings, replica_id="one", redis_uri=redis_uri if shared else None)

    with nothing_left(caplog):
        async with AsyncExitStack() as stack:
            services = await open_services(own, stack, asyncio.Event())
            await services.worker.start()
            replica = Replica(services, stack)
            run = await replica.start("three_steps", RunKwargs(input={"folder": str(tmp_path)}))
            await replica.ended(run)
            await services.store.aput(("closing",), "key", {"value": 1})
            await services.worker.drain(0)


async def test_what_is_asked_of_a_store_that_closes_is_answered_or_fails(
    database_uri: str, caplog: pytest.LogCaptureFixture
) -> None:
    with nothing_left(caplog):
        async with open_store(database_uri) as store:
            asked = [asyncio.ensure_future(store.aput(("closing",), str(n), {})) for n in range(20)]
            await asyncio.sleep(0)
        async with asyncio.timeout(60):
            answers = await asyncio.gather(*asked, return_exceptions=True)

        assert all(answer is None or isinstance(answer, StorageUnavailable) for answer in answers)
        with pytest.raises(StorageUnavailable, match="closed"):
            await store.aget(("closing",), "0")


@pytest.mark.parametrize("patient", [True, False], ids=["in time", "at the end"])
async def test_a_connection_whose_server_fell_silent_is_closed_without_a_word(
    postgres_server: PostgresServer,
    patient: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As when the power of the database's node is cut: the pool replaces the connection, and closes it in a
    task of its own."""
    monkeypatch.setattr(postgres_connections, "CLOSE_SECONDS", 0.1 if patient else 60.0)
    with nothing_left(caplog):
        database = await Database.open(await probe(postgres_server.uri), connections=1)
        silent = await database.value("SELECT pg_backend_pid()")
        os.kill(silent, signal.SIGSTOP)
        try:
            before = asyncio.all_tasks()
            await database.pool.expire_connections()
            assert await database.value("SELECT pg_backend_pid()") != silent
            closing = asyncio.all_tasks() - before
            assert closing
            if patient:
                await asyncio.wait(closing)
            del closing, before
            await database.close()
        finally:
            os.kill(silent, signal.SIGCONT)


async def test_what_a_replica_that_closes_can_not_wait_for_may_be_asked_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LAST_ANSWERS_SECONDS", 1)
    asked = asyncio.Event()

    async def never(*_: Any, **__: Any) -> None:
        asked.set()
        await asyncio.Event().wait()

    own = replace(settings, port=0, reuse_port=False)
    listener = server.bind(own)
    listener.listen()
    async with AsyncExitStack() as stack:
        services = await open_services(own, stack, asyncio.Event())
        monkeypatch.setattr(services.storage.threads, "get", never)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            async with server.serve(services, [listener]):
                asking = asyncio.create_task(client.get(f"/threads/{uuid4()}"))
                await asked.wait()
            answer = await asking
        await services.worker.drain(0)

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
    assert "this replica closes" in answer.json()["detail"]
