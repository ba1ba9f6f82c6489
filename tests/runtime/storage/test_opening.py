"""A storage opens on an empty database while others open it, and says in one line why it can't."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from structlog.testing import capture_logs

from lgs_runtime.database.addresses import masked
from lgs_runtime.errors import ConfigError, StorageUnavailable
from lgs_runtime.model import QueueLimits
from lgs_runtime.storage import Storage, StorageOptions, open_storage
from lgs_runtime.storage.queries import ThreadQuery
from lgs_runtime.storage.sqlite.signals import folder_of
from support.ports import PATIENCE_SECONDS, free_port
from support.service import Service

Another = Callable[..., Awaitable[Storage]]


async def test_replicas_that_start_together_do_not_collide(open_another: Another) -> None:
    storages = await asyncio.gather(*(open_another() for _ in range(6)))

    for storage in storages:
        assert await storage.threads.count(ThreadQuery()) == 0


async def test_what_was_stored_is_there_after_a_restart(service: Service, database_uri: str) -> None:
    stored = await service.enqueue()
    await service.storage.close()

    again = await open_storage(database_uri, StorageOptions(lease_seconds=10))

    assert await again.runs.get(stored.run.run_id) == stored.run
    await again.close()
    service.leases.clear()


@pytest.mark.parametrize(
    ("uri", "rule"),
    [
        ("mysql://u:secret@h/db", "must be sqlite:///path or postgresql://"),
        ("nonsense", "must be sqlite:///path or postgresql://"),
        ("", "must be sqlite:///path or postgresql://"),
        ("sqlite://relative.db", "must be sqlite:///path"),
        ("sqlite:///:memory:", "must name a file"),
        ("postgresql://u:secret@h:99999/db", "must be sqlite:///path or postgresql://"),
        ("postgresql://u:secret@127.0.0.1/db?sslmode=sometimes", "must be a URI PostgreSQL understands"),
    ],
)
async def test_a_uri_that_can_not_work_is_named_with_its_rule(uri: str, rule: str) -> None:
    with pytest.raises(ConfigError) as refused:
        await open_storage(uri, StorageOptions(lease_seconds=10))

    assert str(refused.value).startswith(f"DATABASE_URI: {masked(uri)}: ")
    assert rule in str(refused.value)
    assert "secret" not in str(refused.value)


async def test_a_database_that_does_not_exist_is_a_wrong_setting(postgres_uri: str) -> None:
    with pytest.raises(ConfigError, match="no_such_database"):
        await open_storage(
            postgres_uri.rsplit("/", 1)[0] + "/no_such_database", StorageOptions(lease_seconds=10)
        )


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
async def test_a_new_database_that_can_not_keep_every_text_is_a_wrong_setting(
    postgres_service: str, postgres_uri: str, encoding: str
) -> None:
    name = urlsplit(postgres_uri).path[1:]
    with psycopg.connect(postgres_service, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name}".encode())
        admin.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0".encode())

    with pytest.raises(ConfigError, match=rf"{name}: its encoding is {encoding}: must be UTF8"):
        await open_storage(postgres_uri, StorageOptions(lease_seconds=10))

    with psycopg.connect(postgres_uri) as admin:
        assert admin.execute("SELECT to_regclass('lgs_run')").fetchone() == (None,)


async def test_a_service_whose_database_has_another_encoding_goes_on_and_logs_it(
    postgres_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one was made by an earlier release, which took any."""
    await (await open_storage(postgres_uri, StorageOptions(lease_seconds=10))).close()
    monkeypatch.setattr("lgs_runtime.storage.postgres.identity.ENCODING", "SELECT 'LATIN1'")

    with capture_logs() as logs:
        await (await open_storage(postgres_uri, StorageOptions(lease_seconds=10))).close()

    assert [line["encoding"] for line in logs if line["event"] == "database.encoding"] == ["LATIN1"]


async def test_a_server_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(StorageUnavailable):
        await open_storage(f"postgresql://u:p@127.0.0.1:{free_port()}/db", StorageOptions(lease_seconds=10))


async def test_a_file_that_is_no_database_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are notes, and no database at all " * 100)

    with pytest.raises(ConfigError, match=r"notes\.txt: must be a SQLite file"):
        await open_storage(f"sqlite:///{tmp_path}/notes.txt", StorageOptions(lease_seconds=10))


async def test_a_folder_that_can_not_be_made_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="the folder must exist"):
        await open_storage(f"sqlite:///{tmp_path}/file/queue.db", StorageOptions(lease_seconds=10))


def test_signals_of_a_deep_folder_go_through_a_short_one() -> None:
    deep = Path("/var") / ("deep" * 40) / "queue.db"

    assert len(str(folder_of(deep))) < 90
    assert folder_of(deep) == folder_of(deep)
    assert folder_of(Path("/data/queue.db")) == Path("/data/queue.db-signals")


PROCESS = """
import asyncio, sys
from lgs_runtime.model import Outcome
from lgs_runtime.storage import StorageOptions, open_storage
from lgs_runtime.storage.queries import ThreadQuery

async def main(uri, replica):
    storage = await open_storage(uri, StorageOptions(lease_seconds=60))
    leases = await storage.leases.take(replica)
    async with storage.signals.listen() as signals:
        print("ready", flush=True)
        while True:
            for run in await storage.queue.claim(replica, 1):
                await storage.queue.finish(run, replica, Outcome("success", values={"by": replica}))
            everything, busy = ThreadQuery(), ThreadQuery(status="busy")
            if await storage.threads.count(busy) == 0 and await storage.threads.count(everything) == 30:
                break
            try:
                await asyncio.wait_for(anext(signals), 0.2)
            except TimeoutError:
                pass
    await leases.close()
    await storage.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_processes_of_their_own_share_the_work_and_lose_nothing(
    service: Service, database_uri: str
) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", PROCESS, database_uri, name], stdout=subprocess.PIPE)
        for name in ("p1", "p2")
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            await asyncio.to_thread(worker.stdout.readline)
        stored = [await service.enqueue(limits=QueueLimits()) for _ in range(30)]

        codes = [await asyncio.to_thread(worker.wait, PATIENCE_SECONDS) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
            assert worker.stdout is not None
            worker.stdout.close()

    assert codes == [0, 0]
    for enqueued in stored:
        run = await service.storage.runs.get(enqueued.run.run_id)
        assert (run.status, run.attempt) == ("success", 1)
