"""The storage on PostgreSQL: a pool for statements, and separate connections for signals and leases."""

from __future__ import annotations

from datetime import datetime

from lgs_runtime.database.addresses import masked
from lgs_runtime.database.postgres import PLANNED_ONCE, POOL_SIZE, Database
from lgs_runtime.database.postgres_access import log_access, probe, refused
from lgs_runtime.database.postgres_connections import Access
from lgs_runtime.errors import ConfigError
from lgs_runtime.storage.contract import Storage
from lgs_runtime.storage.identity import Known
from lgs_runtime.storage.options import StorageOptions
from lgs_runtime.storage.postgres.archives import PostgresArchives
from lgs_runtime.storage.postgres.arrivals import COMMITS_AT_ONCE as ARRIVALS_AT_ONCE
from lgs_runtime.storage.postgres.assistants import PostgresAssistants
from lgs_runtime.storage.postgres.audit import PostgresAudit
from lgs_runtime.storage.postgres.completion import COMMITS_AT_ONCE as ENDINGS_AT_ONCE
from lgs_runtime.storage.postgres.crons import PostgresCrons
from lgs_runtime.storage.postgres.identity import check, check_known, note_families, opened
from lgs_runtime.storage.postgres.leases import PostgresLeases
from lgs_runtime.storage.postgres.migrations.apply import migrate
from lgs_runtime.storage.postgres.pins import PostgresPins
from lgs_runtime.storage.postgres.queue import PostgresQueue
from lgs_runtime.storage.postgres.runs import PostgresOrphans, PostgresRuns, PostgresWebhooks
from lgs_runtime.storage.postgres.signals import PostgresSignals
from lgs_runtime.storage.postgres.spending import PostgresSpending
from lgs_runtime.storage.postgres.statements.replicas import NOW
from lgs_runtime.storage.postgres.threads import PostgresThreads
from lgs_runtime.storage.postgres.versions import PostgresVersions

DIRECT = "LGS_DATABASE_DIRECT_URI"
RUN_CONNECTIONS = ARRIVALS_AT_ONCE + ENDINGS_AT_ONCE
POOLED_CONNECTIONS = 5
"""Part of a replica's connections to a pooler (the checkpointer, the store and the lease have others). Each
may be a server connection, of which a pooler has twenty by default."""


async def open_postgres(uri: str, options: StorageOptions) -> Storage:
    """Connects and migrates. Raises `ConfigError`, `StorageUnavailable`."""
    access, direct = await probe(uri), await _direct(options.direct_uri)
    log_access(access, options.direct_uri)
    database = await Database.open(access, connections=POOLED_CONNECTIONS if access.pooled else POOL_SIZE)
    try:
        async with database.connection() as connection:
            with refused(uri):
                await check_known(connection, options.database_id, uri)
                await migrate(connection, uri)
                known = await opened(connection, options.families, uri)
        by_key = database
        if not access.pooled:
            by_key = await Database.open(access, connections=RUN_CONNECTIONS, settings=PLANNED_ONCE)
    except BaseException:
        await database.close()
        raise
    backend = _Backend(database, by_key, PostgresSignals(database, direct), options, known)
    return backend.composed()


class _Backend:
    """Implements `Backend` of the contract, and makes all parts."""

    def __init__(
        self,
        database: Database,
        by_key: Database,
        signals: PostgresSignals,
        options: StorageOptions,
        known: Known,
    ) -> None:
        """`known`: what is known of the database."""
        self._database = database
        self._by_key = by_key
        self._signals = signals
        self._options = options
        self._queue = PostgresQueue(database, by_key, signals, options)
        self._known = known

    def composed(self) -> Storage:
        """The storage, composed of its parts."""
        database, options = self._database, self._options
        threads = PostgresThreads(database, self._signals)
        return Storage(
            name="postgres",
            database_id=self._known.id,
            queue=self._queue,
            runs=PostgresRuns(database),
            webhooks=PostgresWebhooks(database),
            orphans=PostgresOrphans(database),
            assistants=PostgresAssistants(database, threads),
            threads=threads,
            versions=PostgresVersions(database, options),
            audit=PostgresAudit(database),
            archives=PostgresArchives(database),
            crons=PostgresCrons(database),
            spending=PostgresSpending(database),
            pins=PostgresPins(database, self._signals),
            signals=self._signals,
            leases=PostgresLeases(database.access, options, self._known),
            backend=self,
        )

    async def ping(self) -> None:
        await self._database.check()
        async with self._database.connection() as connection:
            await check(connection, self._known)

    async def note_families(self) -> None:
        async with self._database.connection() as connection:
            await note_families(connection, self._known, self._database.access.uri)

    async def now(self) -> datetime:
        now: datetime = await self._database.value(NOW)
        return now

    async def close(self) -> None:
        await self._queue.close()
        await self._signals.close()
        if self._by_key is not self._database:
            await self._by_key.close()
        await self._database.close()


async def _direct(uri: str | None) -> Access | None:
    """The access to the PostgreSQL behind the pooler; None: not configured. Raises `ConfigError` for a
    pooler."""
    if uri is None:
        return None
    access = await probe(uri, DIRECT)
    if access.pooled:
        raise ConfigError(
            f"{DIRECT}: {masked(uri)}: a pooler: must be the PostgreSQL behind it, where one can listen"
        )
    return access
