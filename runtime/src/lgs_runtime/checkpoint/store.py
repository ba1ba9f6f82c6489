"""LangGraph's Postgres store on a pool that outlives a restart of the server.

Setup is guarded: replicas that start together take turns. Failures to reach the database leave as
`StorageUnavailable`.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import psycopg
from langgraph.store.base import TTLConfig
from langgraph.store.postgres.aio import AsyncPostgresStore
from langgraph.store.postgres.base import PostgresIndexConfig
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from lgs_runtime.checkpoint.store_options import Index, check_dimensions
from lgs_runtime.errors import ConfigError, StorageUnavailable
from lgs_runtime.storage.postgres.database import SESSION_SETTINGS

SETUP_LOCK: Final = 0x6C67735F73746F72
"""Key of the advisory lock: `lgs_stor` in ASCII."""

CONNECT_SECONDS: Final = 10.0
BUSY_SECONDS: Final = 1.0
"""After so long without a connection a waiter looks whether the server is still there."""
LOOK_SECONDS: Final = 2
SETUP_SECONDS: Final = 120.0
_UNREACHABLE: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.IdleInTransactionSessionTimeout,
    TimeoutError,
)
_STORED_DIMENSIONS: Final = """
SELECT atttypmod AS dims FROM pg_attribute
WHERE attrelid = to_regclass('store_vectors') AND attname = 'embedding' AND atttypmod > 0
"""
_Pool = AsyncConnectionPool[AsyncConnection[DictRow]]


async def _configure(connection: AsyncConnection[DictRow]) -> None:
    for name, value in SESSION_SETTINGS.items():
        await connection.execute("SELECT set_config(%s, %s, false)", (name, value))


class HealingPool(_Pool):
    """A pool that hands out good connections only. Its own check waits longer after each bad one, so that a
    restart of the server would cost many seconds; here the bad ones are replaced as fast as they are met.

    Who waits for a connection waits long while the pool is only busy, and not while the server is gone.
    """

    def __init__(self, uri: str, **options: Any) -> None:
        super().__init__(uri, **options)
        self._ping = make_conninfo(uri, connect_timeout=LOOK_SECONDS).encode()
        self._looking: asyncio.Future[int] | None = None

    async def getconn(self, timeout: float | None = None) -> AsyncConnection[DictRow]:
        """A connection that works, within `timeout` seconds for each that doesn't. Raises
        `psycopg.OperationalError` as soon as the server doesn't answer."""
        while True:
            connection = await self._patiently(self.timeout if timeout is None else timeout)
            if await _good(connection):
                return connection
            await connection.close()
            await self.putconn(connection)

    async def _patiently(self, timeout: float) -> AsyncConnection[DictRow]:
        give_up_at = time.monotonic() + timeout
        while True:
            left = give_up_at - time.monotonic()
            try:
                return await super().getconn(min(BUSY_SECONDS, left))
            except PoolTimeout:
                if left <= BUSY_SECONDS:
                    raise
                await self._look()

    async def _look(self) -> None:
        """Asks the server whether it takes connections, once for all who wait."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(asyncio.to_thread(PGconn.ping, self._ping))
        status = await asyncio.shield(self._looking)
        if status != Ping.OK:
            raise psycopg.OperationalError(f"the server takes no connections ({Ping(status).name})")


class PostgresStore(AsyncPostgresStore):
    """LangGraph's store, whose sweeps fail in this runtime's words."""

    async def sweep_ttl(self) -> int:
        """Deletes what has expired; how many items. Raises `StorageUnavailable`."""
        try:
            return await super().sweep_ttl()
        except psycopg.Error as failed:
            raise StorageUnavailable(f"the store can't be swept: {failed}") from failed


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
        _pool(uri, connections) as pool,
        PostgresStore(pool, index=given, ttl=ttl) as store,
    ):
        async with _turn(uri):
            if index:
                await _check_vectors(pool, index)
            await store.setup()
            await _keep_fractions(pool)
        yield store


async def _keep_fractions(pool: _Pool) -> None:
    """LangGraph keeps the minutes that an item lives as a whole number, so that reading an item of half a
    minute would end it. Its own store takes the wider column as it is."""
    with _translated():
        async with pool.connection() as connection:
            found = await connection.execute(_WHOLE_MINUTES)
            if await found.fetchone() is not None:
                await connection.execute(_FRACTIONS_OF_MINUTES)


async def _check_vectors(pool: _Pool, index: Index) -> None:
    with _translated():
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
async def _pool(uri: str, connections: int) -> AsyncIterator[_Pool]:
    pool = HealingPool(
        uri,
        connection_class=AsyncConnection[DictRow],
        kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
        configure=_configure,
        min_size=1,
        max_size=connections,
        timeout=CONNECT_SECONDS,
        open=False,
    )
    with _translated():
        # A plain connection says at once what is wrong; the pool would only say that it waited.
        await (await AsyncConnection.connect(uri, connect_timeout=int(CONNECT_SECONDS))).close()
        await pool.open(wait=True, timeout=CONNECT_SECONDS)
    try:
        yield pool
    finally:
        await pool.close()


async def _good(connection: AsyncConnection[DictRow]) -> bool:
    """Whether a connection of the pool still works, without a round trip while nothing speaks against it: an
    idle one has nothing to read unless the server has closed it."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if not poll.poll(0):
        return True
    try:
        await _Pool.check_connection(connection)
    except psycopg.OperationalError:
        return False
    return True


@asynccontextmanager
async def _turn(uri: str) -> AsyncIterator[None]:
    """Holds the setup lock. Asks for it again and again rather than waiting inside of a statement: building
    an index concurrently waits for all older statements, and the two would wait for each other."""
    with _translated():
        connection = await AsyncConnection.connect(uri, autocommit=True, connect_timeout=int(CONNECT_SECONDS))
        async with connection:
            async with asyncio.timeout(SETUP_SECONDS):
                while not await _taken(connection):  # noqa: ASYNC110 - the database has no event to wait for
                    await asyncio.sleep(0.05)
            yield


async def _taken(connection: AsyncConnection[Any]) -> bool:
    row = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", (SETUP_LOCK,))).fetchone()
    return bool(row and row[0])


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _UNREACHABLE as error:
        raise StorageUnavailable(f"the database of the checkpoints can't be reached: {error}") from error
