"""A pool of connections to PostgreSQL that heals by itself.

A transaction that lost a race against another (deadlock, serialisation, a unique index) is tried again as a
whole. After a fail-over no connection to the old primary is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from itertools import count
from types import TracebackType
from typing import Any, Final, TypeVar
from weakref import WeakSet

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.backoff import Backoff
from lgs_runtime.database import postgres_connections as ways
from lgs_runtime.database.postgres_access import refused
from lgs_runtime.database.postgres_connections import (
    CONNECT_SECONDS,
    LOST_RACE,
    NO_SETTINGS,
    Access,
    translated,
    unavailable,
)
from lgs_runtime.database.postgres_pool import ConnectionPool, Pool
from lgs_runtime.errors import StorageUnavailable

TAKES_WRITES: Final = "SELECT current_setting('transaction_read_only') = 'off'"
"""Whether the server takes writes: a primary that became a standby keeps its connections, and goes on
answering."""
POOL_SIZE: Final = 10
IDLE_SECONDS: Final = 300.0
"""Seconds without use after which a connection is closed."""
POOLED_IDLE_SECONDS: Final = 30.0
"""The same for a connection to a pooler: in session mode it occupies a connection to the server."""
_TRIES: Final = 5
FULL_BACKOFF: Final = Backoff(first_seconds=0.02, longest_seconds=0.5)
RACE_BACKOFF: Final = Backoff(first_seconds=0.005, longest_seconds=0.08, jitter=1.0)
"""The whole pause is random: transactions that lost a race for the same rows must not meet there again."""

_Result = TypeVar("_Result")

PLANNED_ONCE: Final = {"plan_cache_mode": "force_generic_plan"}
"""Setting for statements that look rows up by arrays of keys. Planning takes several times as long as such a
statement itself, and PostgreSQL would plan it anew each time, as it estimates the arrays to be longer than
they are."""


_OPEN: Final[WeakSet[Database]] = WeakSet()
"""The open databases of this process."""


class Database:
    """The pool, and statements on it."""

    def __init__(self, access: Access, pool: Pool) -> None:
        self.access = access
        self._pool = pool
        _OPEN.add(self)

    @classmethod
    async def open(
        cls, access: Access, *, connections: int = POOL_SIZE, settings: Mapping[str, str] = NO_SETTINGS
    ) -> Database:
        """Connects, with at most `connections`. Their sessions have `settings` beside our own, unless a
        pooler stands between. Raises `StorageUnavailable` when nobody answers, `ConfigError` when the URI
        can't work."""
        pool = ConnectionPool(
            partial(ways.opened, access, settings),
            most=connections,
            idle_seconds=POOLED_IDLE_SECONDS if access.pooled else IDLE_SECONDS,
        )
        with translated(), refused(access.uri):
            await pool.release(await pool.acquire())
        return cls(access, pool)

    @property
    def pool(self) -> Pool:
        """The pool of connections."""
        return self._pool

    async def close(self) -> None:
        """Closes every connection; those still in use after `CONNECT_SECONDS` are cut."""
        try:
            await asyncio.wait_for(self._pool.close(), CONNECT_SECONDS)
        except TimeoutError:
            self._pool.terminate()
        await ways.cut_closing()

    async def rows(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        """Runs a statement in its own transaction and returns its rows."""
        async with _Lease(self, None) as connection:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *values)
            return rows

    async def row(self, statement: str, *values: Any) -> asyncpg.Record | None:
        """Like `rows`, but returns the first row only; None: there is none."""
        async with _Lease(self, None) as connection:
            return await connection.fetchrow(statement, *values)

    async def value(self, statement: str, *values: Any) -> Any:
        """Like `rows`, but returns the first value of the first row; None: there is no row."""
        async with _Lease(self, None) as connection:
            return await connection.fetchval(statement, *values)

    async def check(self) -> None:
        """Raises `StorageUnavailable` unless a statement runs now, on a server that takes writes."""
        async with _Lease(self, None) as connection:
            if not await connection.fetchval(TAKES_WRITES):
                raise asyncpg.ReadOnlySQLTransactionError("the server takes no writes any more")

    def connection(self) -> AbstractAsyncContextManager[asyncpg.Connection]:
        """A connection of the pool, while the context is open."""
        return _Lease(self, ways.STATEMENT_SECONDS)

    async def acquire(self, patience: float | None) -> asyncpg.Connection:
        """A connection, which the caller must release to the pool. Waits for it for `patience` seconds; None:
        without limit. If the server has no room for another connection, waits for those of the pool, as long
        as it has any."""
        waited = 0.0
        for failures in count(1):
            try:
                return await self._pool.acquire(timeout=patience)
            except asyncpg.TooManyConnectionsError:
                if not self._pool.get_size() or waited > ways.STATEMENT_SECONDS:
                    raise
            pause = FULL_BACKOFF.pause(failures)
            await asyncio.sleep(pause)
            waited += pause
        raise AssertionError("it is tried until it is given up")

    async def failed(self, error: BaseException) -> None:
        """Raises `StorageUnavailable` if `error` says that the database can't be reached, and gives up the
        connections that are no better than the one with the error.

        A statement that was never answered may have had a connection to a server that vanished without
        closing it. The other connections of the pool are no better then, and all are made anew.
        """
        if (gone := unavailable(error)) is None:
            return
        if isinstance(error, TimeoutError):
            await self._pool.expire_connections()
        elif isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            await self._leave()
        raise gone from error

    async def _leave(self) -> None:
        """Leaves a server that takes no writes: it is no longer a primary. No pool of this process keeps a
        connection to it: what one pool read there would be stale, and another pool would write it to the new
        primary."""
        for database in [each for each in _OPEN if each.access.uri == self.access.uri]:
            await database.pool.expire_connections()

    async def transact(self, work: Callable[[asyncpg.Connection], Awaitable[_Result]]) -> _Result:
        """Runs `work` in one transaction, again from its start when it lost a race."""
        return await self.retried(lambda: self._transact(work))

    async def retried(self, work: Callable[[], Awaitable[_Result]]) -> _Result:
        """Runs `work` until it loses no race. Raises `StorageUnavailable` when it loses too often."""
        for attempt in range(_TRIES):
            try:
                return await work()
            except LOST_RACE:
                await asyncio.sleep(RACE_BACKOFF.pause(attempt + 1))
        raise StorageUnavailable(f"the database is too busy: {_TRIES} tries met conflicting transactions")

    async def _transact(self, work: Callable[[asyncpg.Connection], Awaitable[_Result]]) -> _Result:
        async with self.connection() as connection, connection.transaction():
            return await work(connection)


class _Lease:
    """A connection of the pool for a block, whose errors are translated. It is a class because a generator's
    context would take a third of a statement's time on this side of the wire."""

    __slots__ = ("_connection", "_database", "_patience")

    def __init__(self, database: Database, patience: float | None) -> None:
        self._database = database
        self._patience = patience

    async def __aenter__(self) -> asyncpg.Connection:
        try:
            self._connection = await self._database.acquire(self._patience)
        except Exception as error:
            await self._database.failed(error)
            raise
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            given_up = isinstance(error, asyncio.CancelledError | TimeoutError)
            await self._database.pool.release(self._connection, settled=not given_up)
        except Exception as failed:
            await self._database.failed(failed)
            raise
        if error is not None:
            await self._database.failed(error)
