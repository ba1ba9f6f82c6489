"""A replica that vanishes without closing its connections must not hold its locks: the server is configured
to detect it."""

from __future__ import annotations

from lgs_runtime.database.postgres import Database
from lgs_runtime.database.postgres_access import probe
from lgs_runtime.database.postgres_connections import SESSION_SETTINGS, connect
from lgs_runtime.store.postgres import postgres_store

ASKED = "SELECT name, setting FROM pg_settings WHERE name = ANY(ARRAY[{}])".format(
    ", ".join(f"'{name}'" for name in SESSION_SETTINGS)
)


async def test_the_queues_sessions_are_watched_by_the_server(postgres_uri: str) -> None:
    connection = await connect(await probe(postgres_uri))

    found = await connection.fetch(ASKED)

    assert {row["name"]: row["setting"] for row in found} == SESSION_SETTINGS
    await connection.close()


async def test_the_checkpoints_sessions_are_watched_by_the_server(postgres_uri: str) -> None:
    database = await Database.open(await probe(postgres_uri))

    found = await database.rows(ASKED)

    assert {row["name"]: row["setting"] for row in found} == SESSION_SETTINGS
    await database.close()


async def test_the_stores_sessions_are_watched_by_the_server(postgres_uri: str) -> None:
    async with postgres_store(postgres_uri) as store, store.conn.connection() as connection:
        found = await (await connection.execute(ASKED)).fetchall()

    assert {row["name"]: row["setting"] for row in found} == SESSION_SETTINGS
