"""A pool of connections to PostgreSQL that heals by itself, and the only place that knows the driver's
errors.

Every failure to reach the database leaves as `StorageUnavailable`. A transaction that lost a race against
another (deadlock, serialisation, a unique index) is tried again as a whole.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.errors import ConfigError, StorageUnavailable
from lgs_runtime.storage import encoding
from lgs_runtime.storage.addresses import masked

CONNECT_SECONDS: Final = 5.0
STATEMENT_SECONDS: Final = 30.0
POOL_SIZE: Final = 10
_TRIES: Final = 5

_Result = TypeVar("_Result")

_UNREACHABLE: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InsufficientResourcesError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InterfaceError,
    # An idle connection that was told that the server stops, and has not noticed its end yet.
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
LOST_RACE: Final = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.UniqueViolationError,
)


class PlainConnection(asyncpg.Connection):  # type: ignore[misc]
    """A connection that is not reset when it returns to the pool: we set nothing on it, and it saves a round
    trip."""

    def get_reset_query(self) -> str:
        """Nothing to run."""
        return ""


@contextmanager
def translated() -> Iterator[None]:
    """Turns the driver's errors of an unreachable database into `StorageUnavailable`."""
    try:
        yield
    except asyncpg.DataError:
        # A value of a wrong type is a mistake in this code, though the driver counts it among the others.
        raise
    except _UNREACHABLE as error:
        raise StorageUnavailable(f"the database can't be reached: {type(error).__name__}: {error}") from error


SESSION_SETTINGS: Final = {
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "3",
    "tcp_keepalives_count": "3",
    "idle_in_transaction_session_timeout": "15000",
}
"""What each session asks of the server. A replica whose node loses its power says no good-bye: without these
its open transaction would hold its locks for hours, and whoever takes its runs over would wait for them."""


NO_SETTINGS: Final[Mapping[str, str]] = {}
PLANNED_ONCE: Final = {"plan_cache_mode": "force_generic_plan"}
"""For statements that go by keys, with arrays of them: planning takes several times as long as the statement
itself, and PostgreSQL would plan it anew each time, as it takes the arrays to be longer than they are."""


async def connect(uri: str) -> asyncpg.Connection:
    """One connection outside of the pool. Raises `StorageUnavailable`, `ConfigError`."""
    with translated(), _refused(uri):
        connection = await asyncpg.connect(
            uri,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            connection_class=PlainConnection,
            server_settings=SESSION_SETTINGS,
        )
        await prepare(connection)
        return connection


async def prepare(connection: asyncpg.Connection) -> None:
    """JSON goes in as text and comes out as values."""
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, encoder=str, decoder=encoding.load, schema="pg_catalog")


class Database:
    """The pool, and statements on it."""

    def __init__(self, uri: str, pool: asyncpg.Pool) -> None:
        self.uri = uri
        self._pool = pool

    @classmethod
    async def open(
        cls, uri: str, *, connections: int = POOL_SIZE, settings: Mapping[str, str] = NO_SETTINGS
    ) -> Database:
        """Connects, with at most `connections`, whose sessions have `settings` besides ours. Raises
        `StorageUnavailable` when nobody answers, `ConfigError` when the URI can't work."""
        with translated(), _refused(uri):
            pool = await asyncpg.create_pool(
                uri,
                min_size=1,
                max_size=connections,
                timeout=CONNECT_SECONDS,
                command_timeout=STATEMENT_SECONDS,
                connection_class=PlainConnection,
                server_settings={**SESSION_SETTINGS, **settings},
                init=prepare,
            )
        return cls(uri, pool)

    @property
    def pool(self) -> asyncpg.Pool:
        """The connections."""
        return self._pool

    async def close(self) -> None:
        """Closes every connection, those in use too after a moment."""
        try:
            await asyncio.wait_for(self._pool.close(), CONNECT_SECONDS)
        except TimeoutError:
            self._pool.terminate()

    async def rows(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        """Runs a statement in a transaction of its own and returns its rows."""
        async with self._told():
            rows: list[asyncpg.Record] = await self._pool.fetch(statement, *values)
            return rows

    async def row(self, statement: str, *values: Any) -> asyncpg.Record | None:
        """The first row."""
        async with self._told():
            return await self._pool.fetchrow(statement, *values)

    async def value(self, statement: str, *values: Any) -> Any:
        """The first value of the first row."""
        async with self._told():
            return await self._pool.fetchval(statement, *values)

    @asynccontextmanager
    async def _told(self) -> AsyncIterator[None]:
        """Translates errors. A statement that was never answered may have had a connection to a server that
        is gone without a good-bye, and then the others in the pool are no better: all are made anew."""
        try:
            with translated():
                yield
        except StorageUnavailable as gone:
            if isinstance(gone.__cause__, TimeoutError):
                await self._pool.expire_connections()
            raise

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the pool."""
        async with self._told(), self._pool.acquire(timeout=STATEMENT_SECONDS) as connection:
            yield connection

    async def transact(self, work: Callable[[asyncpg.Connection], Awaitable[_Result]]) -> _Result:
        """Runs `work` in one transaction, again from its start when it lost a race."""
        return await self.retried(lambda: self._transact(work))

    async def retried(self, work: Callable[[], Awaitable[_Result]]) -> _Result:
        """Runs `work` until it loses no race. Raises `StorageUnavailable` when it loses too often."""
        for attempt in range(_TRIES):
            try:
                return await work()
            except LOST_RACE:
                await asyncio.sleep(random.uniform(0, 0.01 * 2**attempt))
        raise StorageUnavailable(f"the database is too busy: {_TRIES} tries met conflicting transactions")

    async def _transact(self, work: Callable[[asyncpg.Connection], Awaitable[_Result]]) -> _Result:
        async with self.connection() as connection, connection.transaction():
            return await work(connection)


@contextmanager
def _refused(uri: str) -> Iterator[None]:
    try:
        yield
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        raise ConfigError(f"DATABASE_URI: {masked(uri)}: the server refused it: {error}") from error
    except (asyncpg.ClientConfigurationError, ValueError) as error:
        raise ConfigError(
            f"DATABASE_URI: {masked(uri)}: must be a URI PostgreSQL understands: {error}"
        ) from error
