"""LangGraph's Postgres store on a pool that outlives a restart of the server.

Setup is guarded: replicas that start together take turns. Failures to reach the database leave as
`StorageUnavailable`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from langgraph.store.base import TTLConfig
from langgraph.store.postgres.aio import AsyncPostgresStore
from langgraph.store.postgres.base import PostgresIndexConfig
from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import DictRow

from lgs_runtime.checkpoint.store_connections import CONNECT_SECONDS, Pool, open_pool, translated
from lgs_runtime.checkpoint.store_options import Index, check_dimensions
from lgs_runtime.errors import ConfigError

SETUP_LOCK: Final = 0x6C67735F73746F72
"""Key of the advisory lock: `lgs_stor` in ASCII."""

SETUP_SECONDS: Final = 120.0
_STORED_DIMENSIONS: Final = """
SELECT atttypmod AS dims FROM pg_attribute
WHERE attrelid = to_regclass('store_vectors') AND attname = 'embedding' AND atttypmod > 0
"""


class PostgresStore(AsyncPostgresStore):
    """LangGraph's store, whose connections fail in this runtime's words, and nothing else does."""

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        foreign: list[BaseException] = []
        with translated(foreign):
            async with super()._cursor(pipeline=pipeline) as cursor:
                try:
                    yield cursor
                except BaseException as inside:
                    # What the cursor raises is translated already: this is the embedding provider's.
                    foreign.append(inside)
                    raise


_WHOLE_MINUTES: Final = """
SELECT FROM pg_attribute
WHERE attrelid = 'store'::regclass AND attname = 'ttl_minutes' AND atttypid = 'integer'::regtype
"""
_FRACTIONS_OF_MINUTES: Final = "ALTER TABLE store ALTER COLUMN ttl_minutes TYPE numeric"


@asynccontextmanager
async def postgres_store(
    uri: str, *, connections: int = 5, index: Index | None = None, ttl: TTLConfig | None = None
) -> AsyncIterator[AsyncPostgresStore]:
    """A store on a pool of at most `connections`. An `index` needs the extension pgvector on the server.
    Raises `ConfigError`, `StorageUnavailable`."""
    given = cast(PostgresIndexConfig, index.config()) if index else None
    async with (
        open_pool(uri, connections) as pool,
        PostgresStore(pool, index=given, ttl=ttl) as store,
    ):
        async with _turn(uri):
            if index:
                await _check_vectors(pool, index)
            await store.setup()
            await _keep_fractions(pool)
        yield store


async def _keep_fractions(pool: Pool) -> None:
    """LangGraph keeps the minutes that an item lives as a whole number, so that reading an item of half a
    minute would end it. Its own store takes the wider column as it is."""
    with translated():
        async with pool.connection() as connection:
            found = await connection.execute(_WHOLE_MINUTES)
            if await found.fetchone() is not None:
                await connection.execute(_FRACTIONS_OF_MINUTES)


async def _check_vectors(pool: Pool, index: Index) -> None:
    with translated():
        async with pool.connection() as connection:
            found = await connection.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'")
            if await found.fetchone() is None:
                raise ConfigError(
                    "store.index: set: must be absent on a PostgreSQL server without the extension vector "
                    "(pgvector); install it on the server, or use another one"
                )
            column = await (await connection.execute(_STORED_DIMENSIONS)).fetchone()
    check_dimensions(index, column["dims"] if column else None)


@asynccontextmanager
async def _turn(uri: str) -> AsyncIterator[None]:
    """Holds the setup lock. Asks for it again and again rather than waiting inside of a statement: building
    an index concurrently waits for all older statements, and the two would wait for each other."""
    with translated():
        connection = await AsyncConnection.connect(uri, autocommit=True, connect_timeout=int(CONNECT_SECONDS))
        async with connection:
            async with asyncio.timeout(SETUP_SECONDS):
                while not await _taken(connection):  # noqa: ASYNC110 - the database has no event to wait for
                    await asyncio.sleep(0.05)
            yield


async def _taken(connection: AsyncConnection[Any]) -> bool:
    row = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", (SETUP_LOCK,))).fetchone()
    return bool(row and row[0])
