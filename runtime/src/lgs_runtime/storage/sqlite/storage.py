"""The storage in one SQLite file: a thread for writing, one for reading, sockets for signals."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

from lgs_runtime.database.sqlite import Database
from lgs_runtime.storage.contract import Storage
from lgs_runtime.storage.identity import Known
from lgs_runtime.storage.options import StorageOptions
from lgs_runtime.storage.sqlite import rows
from lgs_runtime.storage.sqlite.archives import SqliteArchives
from lgs_runtime.storage.sqlite.assistants import SqliteAssistants
from lgs_runtime.storage.sqlite.audit import SqliteAudit
from lgs_runtime.storage.sqlite.change import Changes
from lgs_runtime.storage.sqlite.crons import SqliteCrons
from lgs_runtime.storage.sqlite.identity import Files, check, note_families, opened
from lgs_runtime.storage.sqlite.leases import SqliteLeases
from lgs_runtime.storage.sqlite.migrations.apply import migrate
from lgs_runtime.storage.sqlite.parts import FUNCTIONS
from lgs_runtime.storage.sqlite.pins import SqlitePins
from lgs_runtime.storage.sqlite.queue import SqliteQueue
from lgs_runtime.storage.sqlite.runs import SqliteOrphans, SqliteRuns, SqliteWebhooks
from lgs_runtime.storage.sqlite.signals import SqliteSignals, folder_of
from lgs_runtime.storage.sqlite.spending import SqliteSpending
from lgs_runtime.storage.sqlite.threads import SqliteThreads
from lgs_runtime.storage.sqlite.versions import SqliteVersions


async def open_sqlite(path: Path, options: StorageOptions) -> Storage:
    """Opens or makes the file, and migrates it. Raises `ConfigError`, `StorageUnavailable`."""
    database = await Database.open(path, migrate, FUNCTIONS)
    try:
        known = await opened(database, options.families)
    except BaseException:
        await database.close()
        raise
    signals = SqliteSignals(folder_of(path))
    changes = Changes(database, signals, options)
    return Storage(
        name="sqlite",
        database_id=known.id,
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
        pins=SqlitePins(changes),
        signals=signals,
        leases=SqliteLeases(database.path, options),
        backend=_Backend(database, signals, known),
    )


class _Backend:
    """Implements `Backend` of the contract."""

    def __init__(self, database: Database, signals: SqliteSignals, known: Known) -> None:
        """`known`: what is known of the database."""
        self._database = database
        self._signals = signals
        self._known = known
        self._files = Files(database.path)

    async def ping(self) -> None:
        await check(self._database, self._known, self._files)

    async def note_families(self) -> None:
        await note_families(self._database, self._known)
        self._files.note(self._known.seen)

    async def now(self) -> datetime:
        """The machine's clock, which is the clock of the file."""
        return rows.time(time.time())

    async def close(self) -> None:
        self._signals.close()
        await self._database.close()
