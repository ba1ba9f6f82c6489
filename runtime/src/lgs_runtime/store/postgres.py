"""LangGraph's Postgres store on a pool that outlives a restart of the server.

Setup is guarded: replicas that start together take turns. Failures to reach the database become
`StorageUnavailable`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any, Final, LiteralString, cast

import psycopg
from langgraph.store.base import Op, Result, TTLConfig
from langgraph.store.postgres.aio import AsyncPostgresStore
from langgraph.store.postgres.base import PostgresIndexConfig
from psycopg import AsyncCursor
from psycopg.rows import DictRow

from lgs_runtime.database.addresses import masked
from lgs_runtime.database.postgres_access import probe
from lgs_runtime.database.postgres_connections import connected
from lgs_runtime.database.postgres_setup import setup_turn
from lgs_runtime.errors import ConfigError, StorageUnavailable
from lgs_runtime.store.batches import IsolatedBatchStore
from lgs_runtime.store.filters import Condition, postgres_condition
from lgs_runtime.store.options import Index, check_dimensions
from lgs_runtime.store.postgres_connections import (
    HealingPool,
    Pool,
    open_pool,
    takes_no_writes,
    translated,
)
from lgs_runtime.store.values import decoded, encoded

SETUP_LOCK: Final = 0x6C67735F73746F72
"""Key of the advisory lock: `lgs_stor` in ASCII."""
_IS_THERE: Final = "SELECT to_regclass(%s) IS NOT NULL AS there"
_NEWEST: Final[Mapping[str, LiteralString]] = {
    "store_migrations": "SELECT max(v) AS v FROM store_migrations",
    "vector_migrations": "SELECT max(v) AS v FROM vector_migrations",
}
_STORED_DIMENSIONS: Final = """
SELECT atttypmod AS dims FROM pg_attribute
WHERE attrelid = to_regclass('store_vectors') AND attname = 'embedding' AND atttypmod > 0
"""


class PostgresStore(IsolatedBatchStore, AsyncPostgresStore):
    """LangGraph's store, with connection errors (and only those) translated into this runtime's."""

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Reads and writes, as LangGraph's contract says."""
        return [decoded(result) for result in await super().abatch([encoded(op) for op in ops])]

    def _get_filter_condition(self, key: str, op: str, value: Any) -> Condition:
        """The condition for the whole filter, which `encoded` wrapped into one value."""
        return postgres_condition(value)

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        foreign: list[BaseException] = []
        pool = cast(HealingPool, self.conn)
        try:
            with translated(foreign):
                async with super()._cursor(pipeline=pipeline) as cursor:
                    try:
                        yield cursor
                    except BaseException as inside:
                        # Errors of the cursor are translated already: this one is the embedding provider's.
                        foreign.append(inside)
                        raise
        except StorageUnavailable as gone:
            if takes_no_writes(gone):
                pool.leave()
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
    access = await probe(uri)
    async with (
        open_pool(access, connections) as pool,
        aclosing(PostgresStore(pool, index=given, ttl=ttl)) as store,
    ):
        if index:
            await _check_vectors(pool, index)
        if not await _is_set_up(pool, store):
            with _allowed(uri):
                async with connected(access) as holding, setup_turn(holding, SETUP_LOCK):
                    await store.setup()
                    await _keep_fractions(pool)
        yield store


async def _is_set_up(pool: Pool, store: AsyncPostgresStore) -> bool:
    """Whether setup has nothing to do; then the role need not be allowed to create tables."""
    wanted = {"store_migrations": len(store.MIGRATIONS) - 1}
    if store.index_config:
        wanted["vector_migrations"] = len(store.VECTOR_MIGRATIONS) - 1
    with translated():
        async with pool.connection() as connection:
            for table, version in wanted.items():
                there = await (await connection.execute(_IS_THERE, (table,))).fetchone()
                if there is None or not there["there"]:
                    return False
                newest = await (await connection.execute(_NEWEST[table])).fetchone()
                if newest is None or newest["v"] is None or newest["v"] < version:
                    return False
            return await (await connection.execute(_WHOLE_MINUTES)).fetchone() is None


@contextmanager
def _allowed(uri: str) -> Iterator[None]:
    try:
        yield
    except StorageUnavailable as gone:
        refused = gone.__cause__
        if not isinstance(refused, psycopg.errors.InsufficientPrivilege):
            raise
        raise ConfigError(
            f"DATABASE_URI: {masked(uri)}: the server refused it: {refused.diag.message_primary}"
        ) from refused


async def _keep_fractions(pool: Pool) -> None:
    """Widens the column of minutes. LangGraph stores an item's lifetime in whole minutes, so that reading an
    item of half a minute would expire it. Its own store works with the wider column."""
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
