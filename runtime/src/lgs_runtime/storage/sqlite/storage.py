"""The storage in one SQLite file: a thread for writing, one for reading, sockets for signals."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from pathlib import Path

from lgs_runtime.database.sqlite import Database
from lgs_runtime.errors import DatabaseReplaced
from lgs_runtime.storage.contract import Storage
from lgs_runtime.storage.identity import ANOTHER, mismatch
from lgs_runtime.storage.options import StorageOptions
from lgs_runtime.storage.sqlite import rows
from lgs_runtime.storage.sqlite.archives import SqliteArchives
from lgs_runtime.storage.sqlite.assistants import SqliteAssistants
from lgs_runtime.storage.sqlite.audit import SqliteAudit
from lgs_runtime.storage.sqlite.change import Changes
from lgs_runtime.storage.sqlite.crons import SqliteCrons
from lgs_runtime.storage.sqlite.identity import database_id, file_at
from lgs_runtime.storage.sqlite.leases import SqliteLeases
from lgs_runtime.storage.sqlite.migrations.apply import migrate
from lgs_runtime.storage.sqlite.parts import FUNCTIONS
from lgs_runtime.storage.sqlite.queue import SqliteQueue
from lgs_runtime.storage.sqlite.runs import SqliteOrphans, SqliteRuns, SqliteWebhooks
from lgs_runtime.storage.sqlite.signals import SqliteSignals, folder_of
from lgs_runtime.storage.sqlite.spending import SqliteSpending
from lgs_runtime.storage.sqlite.threads import SqliteThreads
from lgs_runtime.storage.sqlite.versions import SqliteVersions


async def open_sqlite(path: Path, options: StorageOptions) -> Storage:
    """Opens or makes the file, and migrates it. Raises `ConfigError`, `StorageUnavailable`."""
    database = await Database.open(path, migrate, FUNCTIONS)
    signals = SqliteSignals(folder_of(path))
    changes = Changes(database, signals, options)
    known = str(await database.read(database_id))
    return Storage(
        name="sqlite",
        database_id=known,
        queue=SqliteQueue(changes),
        runs=SqliteRuns(changes),
        webhooks=SqliteWebhooks(changes),
        orphans=SqliteOrphans(database),
        assistants=SqliteAssistants(database, signals),
        threads=SqliteThreads(database, signals),
        versions=SqliteVersions(database, options),
        audit=SqliteAudit(database),
        archives=SqliteArchives(database),
        crons=SqliteCrons(database),
        spending=SqliteSpending(database),
        signals=signals,
        leases=SqliteLeases(database.path, options),
        backend=_Backend(database, signals, known),
    )


class _Backend:
    """Implements `Backend` of the contract."""

    def __init__(self, database: Database, signals: SqliteSignals, known: str) -> None:
        """`known`: the id of the database."""
        self._database = database
        self._signals = signals
        self._known = known
        self._file = file_at(database.path)

    async def ping(self) -> None:
        # A process that has the file open does not notice when the file is removed or replaced.
        path = self._database.path
        if await asyncio.to_thread(file_at, path) != self._file:
            raise DatabaseReplaced(f"{ANOTHER}: {path} was removed or replaced: start anew, with it back")
        wrong = mismatch(await self._database.read(database_id), self._known)
        if wrong is not None:
            raise DatabaseReplaced(wrong)

    async def now(self) -> datetime:
        """The machine's clock, which is the clock of the file."""
        return rows.time(time.time())

    async def close(self) -> None:
        self._signals.close()
        await self._database.close()
