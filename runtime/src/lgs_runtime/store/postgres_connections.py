"""The connections of LangGraph's Postgres store: a pool that outlives a restart of the server, and the
boundary at which its driver's errors become this runtime's.

The store asks an embedding provider while it holds a connection, so errors are translated where the driver is
called, and not around the store: what the provider raises may be of the same types, and passes as it is.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final
from weakref import WeakSet

import psycopg
from psycopg import AsyncConnection, AsyncCursor
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from lgs_runtime.database.postgres_connections import SESSION_SETTINGS, Access
from lgs_runtime.errors import StorageUnavailable

CONNECT_SECONDS: Final = 10.0
BUSY_SECONDS: Final = 1.0
"""After so long without a connection a waiter checks whether the server still answers."""
PING_SECONDS: Final = 2
POOLED_CONNECTIONS: Final = 1
"""Of a replica's ten to a pooler."""
_UNREACHABLE: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.LockNotAvailable,
    # Its tables are made at the start.
    psycopg.errors.UndefinedTable,
)
Pool = AsyncConnectionPool[AsyncConnection[DictRow]]


@contextmanager
def translated(foreign: list[BaseException] | None = None) -> Iterator[None]:
    """Turns the driver's errors of an unreachable database into `StorageUnavailable`, but for those that are
    known to come from elsewhere."""
    try:
        yield
    except psycopg.errors.PipelineAborted:
        # It follows another error, which is the one to be reported.
        raise
    except _UNREACHABLE as error:
        if any(error is other for other in foreign or ()):
            raise
        raise StorageUnavailable(f"the database of the store can't be reached: {error}") from error


class StoreCursor(AsyncCursor[Any]):
    """A cursor whose errors are this runtime's."""

    async def execute(self, *statement: Any, **options: Any) -> Any:
        """See psycopg, as for all that follow."""
        with translated():
            return await super().execute(*statement, **options)

    async def fetchone(self) -> Any:
        with translated():
            return await super().fetchone()

    async def fetchall(self) -> Any:
        with translated():
            return await super().fetchall()


def takes_no_writes(failed: BaseException) -> bool:
    """Whether the server of a connection is a primary no longer: it must not be asked again."""
    return isinstance(failed.__cause__, psycopg.errors.ReadOnlySqlTransaction)


async def _configure(connection: AsyncConnection[DictRow]) -> None:
    for name, value in SESSION_SETTINGS.items():
        await connection.execute("SELECT set_config(%s, %s, false)", (name, value))


class HealingPool(Pool):
    """A pool that hands out good connections only. Its own check waits longer after each bad one, so that a
    restart of the server would cost many seconds; here the bad ones are replaced as fast as they are met.

    Who waits for a connection waits long while the pool is only busy, and not while the server is gone.
    """

    def __init__(self, uri: str, **options: Any) -> None:
        super().__init__(uri, **options)
        self._ping = make_conninfo(uri, connect_timeout=PING_SECONDS).encode()
        self._pinging: asyncio.Future[int] | None = None
        self._used: WeakSet[AsyncConnection[DictRow]] = WeakSet()
        self._left: WeakSet[AsyncConnection[DictRow]] = WeakSet()

    async def getconn(self, timeout: float | None = None) -> AsyncConnection[DictRow]:
        """A connection that works, within `timeout` seconds for each that doesn't. Raises
        `psycopg.OperationalError` as soon as the server doesn't answer."""
        while True:
            connection = await self._patiently(self.timeout if timeout is None else timeout)
            if connection not in self._left and await _good(connection):
                self._used.add(connection)
                return connection
            await connection.close()
            await self.putconn(connection)

    def leave(self) -> None:
        """The server takes no writes any more: no connection of this moment is used again."""
        self._left.update(self._used)

    async def _patiently(self, timeout: float) -> AsyncConnection[DictRow]:
        give_up_at = time.monotonic() + timeout
        while True:
            left = give_up_at - time.monotonic()
            try:
                return await super().getconn(min(BUSY_SECONDS, left))
            except PoolTimeout:
                if left <= BUSY_SECONDS:
                    raise
                await self._ping_server()

    async def _ping_server(self) -> None:
        """Asks the server whether it takes connections, once for all who wait."""
        if self._pinging is None or self._pinging.done():
            self._pinging = asyncio.ensure_future(asyncio.to_thread(PGconn.ping, self._ping))
        status = await asyncio.shield(self._pinging)
        if status != Ping.OK:
            raise psycopg.OperationalError(f"the server takes no connections ({Ping(status).name})")


@asynccontextmanager
async def open_pool(access: Access, connections: int) -> AsyncIterator[Pool]:
    """A pool of at most `connections`. Raises `StorageUnavailable`."""
    pool = HealingPool(
        access.uri,
        connection_class=AsyncConnection[DictRow],
        kwargs={
            "autocommit": True,
            "prepare_threshold": None if access.pooled else 0,
            "row_factory": dict_row,
            "cursor_factory": StoreCursor,
        },
        configure=None if access.pooled else _configure,
        min_size=1,
        max_size=min(connections, POOLED_CONNECTIONS) if access.pooled else connections,
        timeout=CONNECT_SECONDS,
        open=False,
    )
    with translated():
        await pool.open(wait=True, timeout=CONNECT_SECONDS)
    try:
        yield pool
    finally:
        await pool.close()


async def _good(connection: AsyncConnection[DictRow]) -> bool:
    """Whether a connection of the pool still works, without a round trip while it has no sign of the
    opposite: an idle one has nothing to read unless the server has closed it."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if not poll.poll(0):
        return True
    try:
        await Pool.check_connection(connection)
    except psycopg.OperationalError:
        return False
    return True
