"""The storage on PostgreSQL: a pool for statements, and connections of their own for signals and leases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from lgs_runtime.model import Signal
from lgs_runtime.storage.postgres import statements
from lgs_runtime.storage.postgres.archives import PostgresArchives
from lgs_runtime.storage.postgres.arrivals import COMMITS_AT_ONCE as ARRIVALS_AT_ONCE
from lgs_runtime.storage.postgres.audit import PostgresAudit
from lgs_runtime.storage.postgres.crons import PostgresCrons
from lgs_runtime.storage.postgres.database import PLANNED_ONCE, Database
from lgs_runtime.storage.postgres.endings import COMMITS_AT_ONCE as ENDINGS_AT_ONCE
from lgs_runtime.storage.postgres.leases import PostgresLeases
from lgs_runtime.storage.postgres.migrations import migrate
from lgs_runtime.storage.postgres.queue import PostgresQueue
from lgs_runtime.storage.postgres.records import PostgresRecords
from lgs_runtime.storage.postgres.signals import Listener, Sender
from lgs_runtime.storage.postgres.versions import PostgresVersions

RUN_CONNECTIONS = ARRIVALS_AT_ONCE + ENDINGS_AT_ONCE


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
        lease_seconds: float,
        versions_limit: int,
    ) -> None:
        super().__init__(database, by_key, sender, versions_limit)
        self._by_key = by_key
        self._lease_seconds = lease_seconds

    @classmethod
    async def open(cls, uri: str, *, lease_seconds: float, versions_limit: int) -> PostgresStorage:
        """Connects and migrates. Raises `ConfigError`, `StorageUnavailable`."""
        database = await Database.open(uri)
        try:
            async with database.connection() as connection:
                await migrate(connection)
            by_key = await Database.open(uri, connections=RUN_CONNECTIONS, settings=PLANNED_ONCE)
        except BaseException:
            await database.close()
            raise
        return cls(database, by_key, Sender(database), lease_seconds, versions_limit)

    async def ping(self) -> None:
        """See the contract."""
        await self._database.value("SELECT 1")

    async def ended_of(self, run_ids: Collection[str]) -> Collection[str]:
        """See the contract."""
        found = await self._database.rows(statements.ENDED_OF, list(run_ids))
        return [row["run_id"] for row in found]

    async def stirred(self, seen: Mapping[str, datetime | None]) -> Collection[str]:
        """See the contract."""
        found = await self._database.rows(statements.STIRRED, list(seen), list(seen.values()))
        return [row["thread_id"] for row in found]

    def tell(self, *signals: Signal) -> None:
        """See the contract."""
        self._sender.send(*signals)

    async def now(self) -> datetime:
        """See the contract."""
        now: datetime = await self._database.value("SELECT now()")
        return now

    async def leases(self, replica: str) -> PostgresLeases:
        """See the contract."""
        leases = PostgresLeases(self._database.uri, replica, self._lease_seconds)
        await leases.take()
        return leases

    def signals(self) -> AbstractAsyncContextManager[AsyncIterator[Signal]]:
        """See the contract."""
        return Listener(self._database.uri)

    async def close(self) -> None:
        """See the contract."""
        await self._arrivals.close()
        await self._endings.close()
        await self._sender.close()
        await self._by_key.close()
        await self._database.close()
