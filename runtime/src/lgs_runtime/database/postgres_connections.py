"""Connections to PostgreSQL, direct or through a pooler, and the only place that handles the driver's errors.

On a direct connection the session is ours: it has settings, and its prepared statements are there the next
time. Through a pooler (PgBouncer in transaction mode, and the like) each transaction may run in another
session, so nothing is set for longer than a transaction, and a statement is prepared and executed in one
transaction. Every failure to reach the database leaves as `StorageUnavailable`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.database import json_columns as encoding
from lgs_runtime.errors import StorageUnavailable

CONNECT_SECONDS: Final = 5.0
STATEMENT_SECONDS: Final = 30.0
CLOSE_SECONDS: Final = 5.0

_UNREACHABLE: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.PostgresSystemError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InsufficientResourcesError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.LockNotAvailableError,
    # They worked at the start, so they will pass: a password being changed, a server being set up anew.
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InterfaceError,
    # An idle connection that was told of the server's stop, and does not appear closed yet.
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
_FOUND_AT_START: Final = (
    (asyncpg.UndefinedTableError, "has lost its tables"),
    (asyncpg.InsufficientPrivilegeError, "refuses what it allowed at the start"),
    (asyncpg.UndefinedColumnError, "has other tables than at the start"),
    (asyncpg.InvalidColumnReferenceError, "has other tables than at the start"),
    (asyncpg.WrongObjectTypeError, "has other tables than at the start"),
    (asyncpg.ObjectNotInPrerequisiteStateError, "has other tables than at the start"),
    (asyncpg.InvalidCachedStatementError, "has other tables than at the start"),
    (asyncpg.InternalServerError, "fails"),
)
"""Errors of statements that worked on the tables as they were found, or made, at the start: the database has
changed under the replica, and who changed it can change it back."""
LOST_RACE: Final = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.UniqueViolationError,
)


@contextmanager
def translated() -> Iterator[None]:
    """Turns the driver's errors of an unreachable database into `StorageUnavailable`."""
    try:
        yield
    except Exception as error:
        if (gone := unavailable(error)) is None:
            raise
        raise gone from error


def unavailable(error: BaseException) -> StorageUnavailable | None:
    """The `StorageUnavailable` for a driver error of an unreachable database; None for any other error."""
    if isinstance(error, asyncpg.DataError):
        # A value of a wrong type is a mistake in this code, though the driver counts it as an interface
        # error.
        return None
    if isinstance(error, _UNREACHABLE):
        words = str(error) or "no answer in time"
        return StorageUnavailable(f"the database can't be reached: {type(error).__name__}: {words}")
    for kind, what in _FOUND_AT_START:
        if isinstance(error, kind):
            return StorageUnavailable(f"the database {what}: {error}")
    return None


SESSION_SETTINGS: Final = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "idle_in_transaction_session_timeout": "15000",
    "enable_seqscan": "off",
    "jit": "off",
}
"""Settings of each session at the server.

Keepalives: a replica whose node loses its power closes no connection. Without them its open transaction would
hold its locks for hours, and the replica that takes over its runs would wait for them.

`enable_seqscan`: no table is read as a whole when an index will do. A plan made when the table was empty is
kept, and the table of a new service grows to thousands of rows before PostgreSQL counts them.

`jit`: with that setting, what can only be read as a whole gets a very high cost, which is no reason to
compile the statement.
"""
TRANSACTION_SETTINGS: Final = "SET LOCAL idle_in_transaction_session_timeout = 15000"
"""The timeout for a transaction whose session is not ours; the pooler keeps its own connections alive."""
NO_SETTINGS: Final[Mapping[str, str]] = {}


_closing: Final[dict[asyncpg.Connection, asyncio.Future[None]]] = {}
"""Connections of this process that are being closed, each with a future that is done when it is closed."""


class PlainConnection(asyncpg.Connection):  # type: ignore[misc]
    """A connection that is not reset when it returns to the pool: nothing is set on it, and that saves a
    round trip. If its server does not answer, closing it cuts it without an error: the pool closes old
    connections in its own tasks, whose errors no code handles."""

    async def close(self, *, timeout: float | None = None) -> None:
        """Closes the connection within `CLOSE_SECONDS`, or cuts it."""
        closed = _closing[self] = asyncio.get_running_loop().create_future()
        try:
            with suppress(*_UNREACHABLE):
                await super().close(timeout=CLOSE_SECONDS if timeout is None else min(timeout, CLOSE_SECONDS))
        finally:
            del _closing[self]
            closed.set_result(None)

    def get_reset_query(self) -> str:
        """No query: nothing has to be reset."""
        return ""

    def is_in_transaction(self) -> bool:
        """Also true when the driver believes in a transaction whose beginning was given up or failed: until a
        `reset` it would make each later transaction a savepoint in that one. False when the connection is
        closed."""
        return not self.is_closed() and (self._top_xact is not None or bool(super().is_in_transaction()))


class BorrowedConnection(PlainConnection):
    """A connection through a pooler that keeps no prepared statements. The driver prepares a statement in one
    round trip and executes it in the next; between them, another client's transaction could take the session.
    So both go into one transaction, unless one is open already."""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        """See asyncpg, as for the other methods. Without values it is one message, which needs no
        transaction."""
        if args:
            async with self._together():
                return str(await super().execute(query, *args, timeout=timeout))
        opening = f"{query.rstrip(';')}; {TRANSACTION_SETTINGS}" if query.startswith("BEGIN") else query
        return str(await super().execute(opening, timeout=timeout))

    async def fetch(self, query: str, *args: Any, **options: Any) -> list[asyncpg.Record]:
        async with self._together():
            rows: list[asyncpg.Record] = await super().fetch(query, *args, **options)
            return rows

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> asyncpg.Record | None:
        async with self._together():
            return await super().fetchrow(query, *args, **options)

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        async with self._together():
            return await super().fetchval(query, *args, **options)

    @asynccontextmanager
    async def _together(self) -> AsyncIterator[None]:
        if self.is_in_transaction():
            yield
            return
        async with self.transaction():
            yield


@dataclass(frozen=True, slots=True)
class Access:
    """How to talk to a database, as `postgres_access.probe` found out."""

    uri: str
    pooled: bool = False
    """A pooler stands between: what a transaction leaves in its session may be missing for the next one."""
    names: bool = True
    """Prepared statements can have names: the session is ours, or the pooler (PgBouncer 1.21 and later, with
    `max_prepared_statements`) has each statement wherever it is executed."""

    def options(self, settings: Mapping[str, str] = NO_SETTINGS) -> dict[str, Any]:
        """The driver's options, for sessions with `settings` beside our own, unless a pooler stands
        between."""
        shared = {"timeout": CONNECT_SECONDS, "command_timeout": STATEMENT_SECONDS}
        if not self.pooled:
            own = {**SESSION_SETTINGS, **settings}
            return {**shared, "connection_class": PlainConnection, "server_settings": own}
        if self.names:
            # The driver would prepare long statements without a name, and the pooler does not keep those.
            return {**shared, "connection_class": PlainConnection, "max_cacheable_statement_size": 0}
        return {**shared, "connection_class": BorrowedConnection, "statement_cache_size": 0}


async def cut_closing() -> None:
    """Cuts the connections that are being closed. A pool has no reference to connections that it has
    replaced, so closing the pool would leave their tasks."""
    waiting = dict(_closing)
    for connection in waiting:
        connection.terminate()
    await asyncio.gather(*waiting.values())


async def connect(access: Access) -> asyncpg.Connection:
    """Opens one connection outside of the pool. Raises `StorageUnavailable`."""
    with translated():
        return await opened(access)


async def opened(access: Access, settings: Mapping[str, str] = NO_SETTINGS) -> asyncpg.Connection:
    """Like `connect`, for a session with `settings` beside our own; raises the driver's errors."""
    connection = await asyncpg.connect(access.uri, **access.options(settings))
    try:
        await prepare(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


@asynccontextmanager
async def connected(access: Access) -> AsyncIterator[asyncpg.Connection]:
    """One connection outside of the pool, while the context is open. Raises `StorageUnavailable`."""
    connection = await connect(access)
    try:
        yield connection
    finally:
        await connection.close()


async def prepare(connection: asyncpg.Connection) -> None:
    """Makes the connection take JSON as text and return it as values."""
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, encoder=str, decoder=encoding.load, schema="pg_catalog")
