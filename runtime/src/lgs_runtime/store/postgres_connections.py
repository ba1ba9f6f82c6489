"""The connections of LangGraph's Postgres store: a pool that outlives a restart of the server, and the
boundary at which errors of its driver become this runtime's.

The store calls an embedding provider while it holds a connection. So errors are translated where the driver
is called, and not around the store: the provider's errors may be of the same types, and pass unchanged.
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
"""Seconds without a connection after which a waiting caller checks whether the server still answers."""
PING_SECONDS: Final = 2
POOLED_CONNECTIONS: Final = 1
"""Connections of the store to a pooler, out of a replica's ten."""
_UNREACHABLE: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.ReadOnlySqlTransaction,
    psycopg.errors.LockNotAvailable,
    # The tables are made at the start, and what the statements need of them was there.
    psycopg.errors.UndefinedTable,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.InvalidColumnReference,
    psycopg.errors.WrongObjectType,
    psycopg.errors.ObjectNotInPrerequisiteState,
    psycopg.errors.InternalError_,
    psycopg.errors.DataCorrupted,
    psycopg.errors.IndexCorrupted,
)
Pool = AsyncConnectionPool[AsyncConnection[DictRow]]


@contextmanager
def translated(foreign: list[BaseException] | None = None) -> Iterator[None]:
    """Turns the driver's errors about an unreachable database into `StorageUnavailable`, except those in
    `foreign`, which are known to come from elsewhere."""
    try:
        yield
    except psycopg.errors.PipelineAborted:
        # It follows another error, which is the one to report.
        raise
    except _UNREACHABLE as error:
        if any(error is other for other in foreign or ()):
            raise
        raise StorageUnavailable(f"the database of the store can't be reached: {error}") from error


class StoreCursor(AsyncCursor[Any]):
    """A cursor that raises this runtime's errors."""

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
    """Whether the server of a connection is no longer a primary; then it must not be used again."""
    return isinstance(failed.__cause__, psycopg.errors.ReadOnlySqlTransaction)


async def _configure(connection: AsyncConnection[DictRow]) -> None:
    for name, value in SESSION_SETTINGS.items():
        await connection.execute("SELECT set_config(%s, %s, false)", (name, value))


class HealingPool(Pool):
    """A pool that hands out only working connections. The base class's own check waits longer after each
    broken one, so that a restart of the server would cost many seconds; here broken ones are replaced at
    once.

    A caller waits long for a connection while the pool is only busy, but not while the server is gone.
    """

    def __init__(self, uri: str, **options: Any) -> None:
        super().__init__(uri, **options)
        self._ping = make_conninfo(uri, connect_timeout=PING_SECONDS).encode()
        self._pinging: asyncio.Future[int] | None = None
        self._used: WeakSet[AsyncConnection[DictRow]] = WeakSet()
        self._left: WeakSet[AsyncConnection[DictRow]] = WeakSet()

    async def getconn(self, timeout: float | None = None) -> AsyncConnection[DictRow]:
        """A working connection, within `timeout` seconds for each one that does not work. Raises
        `psycopg.OperationalError` as soon as the server does not answer."""
        while True:
            connection = await self._patiently(self.timeout if timeout is None else timeout)
            if connection not in self._left and await _good(connection):
                self._used.add(connection)
                return connection
            await connection.close()
            await self.putconn(connection)

    def leave(self) -> None:
        """Stops using all present connections, because the server no longer takes writes."""
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
        """Asks the server whether it takes connections, once for all waiting callers."""
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
    """Whether a connection of the pool still works. Costs no round trip if nothing indicates the opposite: an
    idle connection has nothing to read unless the server has closed it."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if not poll.poll(0):
        return True
    try:
        await Pool.check_connection(connection)
    except (psycopg.OperationalError, StorageUnavailable):
        # The cursor, of which the check makes use, has translated what it met.
        return False
    return True
