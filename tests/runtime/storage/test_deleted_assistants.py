"""A run that is just being stored as its assistant is deleted comes before the deletion, or not at all."""

from __future__ import annotations

import asyncio

import asyncpg  # type: ignore[import-untyped]
import pytest

from lgs_runtime.errors import NotFound
from lgs_runtime.model import NewRun, QueueLimits
from lgs_runtime.storage import StorageOptions, open_storage
from lgs_runtime.storage.postgres.arrivals import columns, row
from lgs_runtime.storage.postgres.statements.arrivals import ENQUEUE
from lgs_runtime.storage.postgres.statements.assistants import AWAIT_ARRIVALS
from support.service import Service, at_work, new_id

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'lgs_run'::regclass"


@pytest.mark.parametrize("delete_threads", [False, True])
async def test_a_deletion_waits_for_the_runs_that_found_the_assistant(
    postgres_uri: str, monkeypatch: pytest.MonkeyPatch, *, delete_threads: bool
) -> None:
    # A second may be over before it is seen that the deletion waits.
    patiently = AWAIT_ARRIVALS.replace("'1s'", "'600s'")
    assert patiently != AWAIT_ARRIVALS
    monkeypatch.setattr("lgs_runtime.storage.postgres.assistants.AWAIT_ARRIVALS", patiently)
    storage = await open_storage(postgres_uri, StorageOptions(lease_seconds=600.0))
    connection = await asyncpg.connect(postgres_uri)
    try:
        async with at_work(storage) as service:
            new = NewRun(
                new_id(),
                new_id(),
                service.assistant_id,
                {},
                create_thread=True,
                thread_metadata={"assistant_id": service.assistant_id},
            )
            async with connection.transaction():
                assert await connection.fetch(ENQUEUE, *columns([row(new, None, 10)]))
                deletion = asyncio.create_task(
                    storage.assistants.delete(service.assistant_id, delete_threads=delete_threads)
                )
                while not await connection.fetchval(WAITING):
                    assert not deletion.done(), "the run would be left behind"
                    await asyncio.sleep(0.01)
            await deletion

            if delete_threads:
                with pytest.raises(NotFound):
                    await storage.threads.get(new.thread_id)
            else:
                assert (await storage.runs.get(new.run_id)).status == "pending"
    finally:
        await connection.close()
        await storage.close()


async def test_a_deletion_waits_for_nobody_who_writes_for_longer(postgres_uri: str) -> None:
    storage = await open_storage(postgres_uri, StorageOptions(lease_seconds=600.0))
    connection = await asyncpg.connect(postgres_uri)
    try:
        async with at_work(storage) as service, connection.transaction():
            await connection.execute("LOCK TABLE lgs_run IN ROW EXCLUSIVE MODE")
            await storage.assistants.delete(service.assistant_id)

            with pytest.raises(NotFound):
                await storage.assistants.get(service.assistant_id)
    finally:
        await connection.close()
        await storage.close()


async def test_no_run_of_a_deleted_assistant_is_stored(service: Service) -> None:
    await service.storage.assistants.delete(service.assistant_id)

    with pytest.raises(NotFound):
        await service.storage.queue.enqueue(
            NewRun(new_id(), new_id(), service.assistant_id, {}, create_thread=True), QueueLimits()
        )
