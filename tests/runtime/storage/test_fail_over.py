"""A PostgreSQL that is a primary no longer, one that has no room, and one whose administrator bounds what a
statement may take."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from lgs_runtime.checkpoint.configs import checkpoint_config
from lgs_runtime.checkpoint.savers import open_checkpointer
from lgs_runtime.database.postgres import Database
from lgs_runtime.database.postgres_access import probe
from lgs_runtime.database.postgres_connections import connect, translated
from lgs_runtime.errors import ConfigError, StorageUnavailable
from lgs_runtime.model import Signal
from lgs_runtime.storage import Storage, StorageOptions, open_storage
from lgs_runtime.storage.postgres import signals
from lgs_runtime.storage.postgres.migrations.apply import LOCK, migrate
from lgs_runtime.store.backends import open_store
from support.ports import PATIENCE_SECONDS
from support.postgres import PostgresServer, PostgresStandby
from support.servers import running


@pytest.fixture
def standby(postgres_server: PostgresServer) -> Iterator[PostgresStandby]:
    """A standby of the test's own server."""
    with running(PostgresStandby(postgres_server)) as standby:
        yield standby


def as_role(uri: str, role: str) -> str:
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=f"{role}@{parts.hostname}:{parts.port}"))


def admin(uri: str, *statements: str) -> None:
    with psycopg.connect(uri, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


async def until_it_works(storage: Storage) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await storage.ping()
                return
            except StorageUnavailable:
                await asyncio.sleep(0.05)


async def test_after_a_fail_over_nothing_keeps_to_the_old_primary_though_it_keeps_its_connections(
    postgres_server: PostgresServer, standby: PostgresStandby, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "_CHECK_SECONDS", 0.2)
    hosts = f"127.0.0.1:{postgres_server.port},127.0.0.1:{standby.port}"
    uri = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"
    storage = await open_storage(uri, StorageOptions(lease_seconds=60))
    lease = await storage.leases.take("r1")
    async with open_checkpointer(uri) as saver, open_store(uri) as store, storage.signals.listen() as heard:
        await store.aput(("n",), "before", {"n": 1})
        await asyncio.gather(
            *(storage.ping() for _ in range(8)), *(store.aget(("n",), "x") for _ in range(4))
        )
        await asyncio.to_thread(
            admin,
            postgres_server.uri,
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "SELECT pg_reload_conf()",
        )
        await asyncio.to_thread(standby.promote)

        await until_it_works(storage)
        await storage.threads.create("after", {})
        with pytest.raises(StorageUnavailable):
            await lease.renew()
        assert await lease.renew()
        with psycopg.connect(standby.uri) as there:
            told = there.execute("SELECT count(*) FROM lgs_thread").fetchone()
        # Nobody had written through these: what they read comes from the new primary all the same.
        with psycopg.connect(standby.uri, autocommit=True) as there:
            there.execute(
                "INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint, metadata)"
                " VALUES ('t', '1', '{\"v\": 4, \"channel_values\": {}, \"channel_versions\": {}}', '{}')"
            )
        assert await saver.aget_tuple(checkpoint_config("t")) is not None
        with pytest.raises(StorageUnavailable):
            await store.aput(("n",), "after", {"n": 2})
        await store.aput(("n",), "after", {"n": 2})
        assert await store.aget(("n",), "before") is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await anext(heard) != Signal("queued", ""):
                pass
        storage.signals.send(Signal("cancel", "somebody"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await anext(heard) != Signal("cancel", "somebody"):
                pass
    await lease.close()
    await storage.close()

    assert told == (1,)


async def test_a_standby_ends_the_start_at_once_and_says_so(standby: PostgresStandby) -> None:
    with pytest.raises(ConfigError, match=r"DATABASE_URI: postgresql://.*: it takes no writes \(a standby"):
        await open_storage(standby.uri, StorageOptions(lease_seconds=60))


async def test_a_role_that_may_make_no_tables_is_told_and_is_enough_where_they_are(postgres_uri: str) -> None:
    admin(postgres_uri, "DROP ROLE IF EXISTS lgs_guest", "CREATE ROLE lgs_guest LOGIN")
    guest = as_role(postgres_uri, "lgs_guest")
    with pytest.raises(ConfigError, match=r"DATABASE_URI: .*: the server refused it: permission denied for"):
        await open_storage(guest, StorageOptions(lease_seconds=60))
    with pytest.raises(ConfigError, match=r"DATABASE_URI: .*: the server refused it: permission denied for"):
        async with open_checkpointer(guest):
            pass
    with pytest.raises(ConfigError, match=r"DATABASE_URI: .*: the server refused it: permission denied for"):
        async with open_store(guest):
            pass

    await (await open_storage(postgres_uri, StorageOptions(lease_seconds=60))).close()
    admin(postgres_uri, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO lgs_guest")
    with pytest.raises(
        ConfigError, match=r"must be allowed to SELECT, INSERT, UPDATE and DELETE in tables lgs_"
    ):
        await open_storage(guest, StorageOptions(lease_seconds=60))
    async with open_checkpointer(postgres_uri), open_store(postgres_uri):
        pass
    admin(
        postgres_uri,
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO lgs_guest",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO lgs_guest",
    )

    storage = await open_storage(guest, StorageOptions(lease_seconds=60))
    async with open_checkpointer(guest), open_store(guest) as store:
        await store.aput(("n",), "a", {"n": 1})
        await storage.threads.create("t", {})
        assert (await storage.threads.get("t")).thread_id == "t"
    await storage.close()


def test_a_statement_that_is_not_answered_is_told_in_words() -> None:
    with pytest.raises(StorageUnavailable, match="TimeoutError: no answer in time"), translated():
        raise TimeoutError


async def test_a_password_that_is_wrong_is_told_at_once_and_never_shown(
    postgres_server: PostgresServer,
) -> None:
    rules = postgres_server.folder / "data" / "pg_hba.conf"
    rules.write_text("host all guarded 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
    admin(postgres_server.uri, "CREATE ROLE guarded LOGIN PASSWORD 'right'", "SELECT pg_reload_conf()")
    place = f"127.0.0.1:{postgres_server.port}/postgres"

    for uri in (
        f"postgresql://guarded:wrong-1@{place}",
        f"postgresql://{place}?user=guarded&password=wrong-1",
    ):
        with pytest.raises(ConfigError, match="password authentication failed") as refused:
            await open_storage(uri, StorageOptions(lease_seconds=60))
        assert str(refused.value).startswith("DATABASE_URI: postgresql://")
        assert "wrong-1" not in str(refused.value)


async def test_a_server_of_an_old_version_is_told(postgres_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lgs_runtime.database.postgres_access.OLDEST", 99)

    with pytest.raises(ConfigError, match=r"PostgreSQL \d+.*: must be 99 or later"):
        await open_storage(postgres_uri, StorageOptions(lease_seconds=60))


async def test_where_the_server_has_no_room_the_connections_that_there_are_do_the_work(
    postgres_uri: str,
) -> None:
    admin(postgres_uri, "DROP ROLE IF EXISTS lgs_few", "CREATE ROLE lgs_few LOGIN CONNECTION LIMIT 2")
    database = await Database.open(await probe(as_role(postgres_uri, "lgs_few")), connections=10)

    rows = await asyncio.gather(*(database.value("SELECT 7 FROM pg_sleep(0.02)") for _ in range(30)))

    assert rows == [7] * 30
    await database.close()


async def test_connections_of_the_store_that_the_server_has_ended_cost_no_request(postgres_uri: str) -> None:
    async with open_store(postgres_uri) as store:
        await store.aput(("n",), "a", {"n": 1})
        ends = (
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = current_database()"
        )
        await asyncio.to_thread(admin, postgres_uri, f"{ends} AND pid <> pg_backend_pid()")

        found = await store.aget(("n",), "a")

        assert found is not None
        assert found.value == {"n": 1}


@pytest.mark.parametrize("setting", ["statement_timeout", "lock_timeout"])
async def test_what_an_administrator_allows_a_statement_does_not_hold_for_the_making_of_tables(
    postgres_uri: str, setting: str
) -> None:
    waiting = await connect(await probe(postgres_uri))
    # As where it is set for the database, but for this connection alone: it is the only one that has to wait.
    await waiting.execute(f"SET {setting} = '100ms'")
    with psycopg.connect(postgres_uri) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        made = asyncio.create_task(migrate(waiting, postgres_uri))
        done, _ = await asyncio.wait({made}, timeout=0.5)
    await made

    assert done == set()
    await waiting.close()


async def test_a_statement_that_takes_longer_than_an_administrator_allows_is_told_as_unavailable(
    postgres_uri: str,
) -> None:
    name = urlsplit(postgres_uri).path[1:]
    admin(postgres_uri, f"ALTER DATABASE {name} SET statement_timeout = '3s'")
    database = await Database.open(await probe(postgres_uri))

    with pytest.raises(StorageUnavailable, match="statement timeout"):
        await database.value("SELECT 1 FROM pg_sleep(600)")

    assert await database.value("SELECT 1") == 1
    await database.close()
