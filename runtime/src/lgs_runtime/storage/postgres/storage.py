"""The storage on PostgreSQL: a pool for statements, and connections of their own for signals and leases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from lgs_runtime.database.addresses import masked
from lgs_runtime.database.postgres import PLANNED_ONCE, POOL_SIZE, Database
from lgs_runtime.database.postgres_access import look, refused, tell
from lgs_runtime.database.postgres_connections import Access
from lgs_runtime.errors import ConfigError, DatabaseReplaced
from lgs_runtime.model import Signal
from lgs_runtime.storage.identity import mismatch
from lgs_runtime.storage.options import StorageOptions
from lgs_runtime.storage.postgres import statements
from lgs_runtime.storage.postgres.archives import PostgresArchives
from lgs_runtime.storage.postgres.arrivals import COMMITS_AT_ONCE as ARRIVALS_AT_ONCE
from lgs_runtime.storage.postgres.audit import PostgresAudit
from lgs_runtime.storage.postgres.completion import COMMITS_AT_ONCE as ENDINGS_AT_ONCE
from lgs_runtime.storage.postgres.crons import PostgresCrons
from lgs_runtime.storage.postgres.identity import ID, check_known, database_id
from lgs_runtime.storage.postgres.leases import PostgresLeases
from lgs_runtime.storage.postgres.migrations import check_rights, migrate
from lgs_runtime.storage.postgres.queue import PostgresQueue
from lgs_runtime.storage.postgres.records import PostgresRecords
from lgs_runtime.storage.postgres.signals import Listener, Looker, Sender
from lgs_runtime.storage.postgres.versions import PostgresVersions

DIRECT = "LGS_DATABASE_DIRECT_URI"
RUN_CONNECTIONS = ARRIVALS_AT_ONCE + ENDINGS_AT_ONCE
POOLED_CONNECTIONS = 5
"""Of all that a replica has to a pooler (the checkpointer, the store and the lease have others): they may be
servers' connections, of which there are twenty where nobody has said otherwise."""


class PostgresStorage(
    PostgresQueue, PostgresRecords, PostgresVersions, PostgresAudit, PostgresArchives, PostgresCrons
):
    """The `Storage` of the contract."""

    name = "postgres"

    def __init__(
        self,
        database: Database,
        by_key: Database,
        sender: Sender,
        options: StorageOptions,
        *,
        database_id: str,
        direct: Access | None = None,
    ) -> None:
        """`direct`: the database without a pooler, where that is another way."""
        super().__init__(database, by_key, sender, options)
        self.database_id = database_id
        self._by_key = by_key
        self._direct = direct

    @classmethod
    async def open(cls, uri: str, options: StorageOptions) -> PostgresStorage:
        """Connects and migrates. Raises `ConfigError`, `StorageUnavailable`."""
        access, direct = await look(uri), await _direct(options.direct_uri)
        tell(access, options.direct_uri)
        database = await Database.open(access, connections=POOLED_CONNECTIONS if access.pooled else POOL_SIZE)
        try:
            with refused(uri):
                async with database.connection() as connection:
                    await check_known(connection, options.database_id, uri)
                    await migrate(connection)
                    await check_rights(connection)
                    known = await connection.fetchval(ID)
            by_key = database
            if not access.pooled:
                by_key = await Database.open(access, connections=RUN_CONNECTIONS, settings=PLANNED_ONCE)
        except BaseException:
            await database.close()
            raise
        return cls(database, by_key, Sender(database), options, database_id=known, direct=direct)

    async def ping(self) -> None:
        await self._database.check()
        async with self._database.connection() as connection:
            wrong = mismatch(await database_id(connection), self.database_id)
        if wrong is not None:
            raise DatabaseReplaced(wrong)

    async def finished_runs(self, run_ids: Collection[str]) -> Collection[str]:
        found = await self._database.rows(statements.ENDED_OF, list(run_ids))
        return [row["run_id"] for row in found]

    async def changed_threads(self, seen: Mapping[str, datetime | None]) -> Collection[str]:
        found = await self._database.rows(statements.STIRRED, list(seen), list(seen.values()))
        return [row["thread_id"] for row in found]

    def notify(self, *signals: Signal) -> None:
        self._sender.send(*signals)

    async def now(self) -> datetime:
        now: datetime = await self._database.value("SELECT now()")
        return now

    async def leases(self, replica: str, graphs: Sequence[str] | None = None) -> PostgresLeases:
        leases = PostgresLeases(self._database.access, replica, self._options.lease_seconds, graphs)
        await leases.take()
        return leases

    def signals(self) -> AbstractAsyncContextManager[AsyncIterator[Signal]]:
        if self._direct is not None:
            return Listener(self._direct)
        if self._database.access.pooled:
            return Looker(self._database)
        return Listener(self._database.access)

    async def close(self) -> None:
        await self._arrivals.close()
        await self._completer.close()
        await self._sender.close()
        if self._by_key is not self._database:
            await self._by_key.close()
        await self._database.close()


async def _direct(uri: str | None) -> Access | None:
    """The way without a pooler."""
    if uri is None:
        return None
    access = await look(uri, DIRECT)
    if access.pooled:
        raise ConfigError(
            f"{DIRECT}: {masked(uri)}: a pooler: must be the PostgreSQL behind it, where one can listen"
        )
    return access
