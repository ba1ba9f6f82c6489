"""The storage in one SQLite file: a thread for writing, one for reading, sockets for signals."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

from lgs_runtime.database.json_columns import dump
from lgs_runtime.database.sqlite import Database
from lgs_runtime.errors import DatabaseReplaced
from lgs_runtime.model import Signal
from lgs_runtime.storage.identity import ANOTHER, mismatch
from lgs_runtime.storage.options import StorageOptions
from lgs_runtime.storage.sqlite import rows, statements
from lgs_runtime.storage.sqlite.archives import SqliteArchives
from lgs_runtime.storage.sqlite.audit import SqliteAudit
from lgs_runtime.storage.sqlite.crons import SqliteCrons
from lgs_runtime.storage.sqlite.leases import SqliteLeases
from lgs_runtime.storage.sqlite.migrations import migrate
from lgs_runtime.storage.sqlite.queue import SqliteQueue
from lgs_runtime.storage.sqlite.records import SqliteRecords
from lgs_runtime.storage.sqlite.signals import Listener, Sender, folder_of
from lgs_runtime.storage.sqlite.versions import SqliteVersions


class SqliteStorage(SqliteQueue, SqliteRecords, SqliteVersions, SqliteAudit, SqliteArchives, SqliteCrons):
    """The `Storage` of the contract."""

    name = "sqlite"
    database_id: str
    _file: tuple[int, int] | None

    @classmethod
    async def open(cls, path: Path, options: StorageOptions) -> SqliteStorage:
        """Opens or makes the file and migrates it. Raises `ConfigError`, `StorageUnavailable`."""
        database = await Database.open(path, migrate)
        storage = cls(database, Sender(folder_of(path)), options)
        storage.database_id = str(await database.read(_database_id))
        storage._file = _file_at(path)
        return storage

    async def ping(self) -> None:
        # A file that was removed, or put in the place of another, goes on unseen for who has it open.
        path = self._database.path
        if await asyncio.to_thread(_file_at, path) != self._file:
            raise DatabaseReplaced(f"{ANOTHER}: {path} was removed or replaced: start anew, with it back")
        found = await self._database.read(_database_id)
        wrong = mismatch(found, self.database_id)
        if wrong is not None:
            raise DatabaseReplaced(wrong)

    async def finished_runs(self, run_ids: Collection[str]) -> Collection[str]:
        asked = {"run_ids": dump(list(run_ids))}
        return await self._ids(statements.ENDED_OF, asked)

    async def changed_threads(self, seen: Mapping[str, datetime | None]) -> Collection[str]:
        moments = {thread_id: None if at is None else at.timestamp() for thread_id, at in seen.items()}
        return await self._ids(statements.STIRRED, {"seen": dump(moments)})

    async def _ids(self, statement: str, values: Mapping[str, Any]) -> list[str]:
        found = await self._database.read(lambda connection: connection.execute(statement, values).fetchall())
        return [row[0] for row in found]

    def notify(self, *signals: Signal) -> None:
        self._sender.send(*signals)

    async def now(self) -> datetime:
        """The clock of a file is that of its machine."""
        return rows.time(time.time())

    async def leases(self, replica: str, graphs: Sequence[str] | None = None) -> SqliteLeases:
        leases = SqliteLeases(self._database.path, replica, self._options.lease_seconds, graphs)
        await leases.take()
        return leases

    def signals(self) -> AbstractAsyncContextManager[AsyncIterator[Signal]]:
        """Nothing is lost between sockets of one machine, so there are no gaps to tell
        of."""
        return Listener(folder_of(self._database.path))

    async def close(self) -> None:
        self._sender.close()
        await self._database.close()


def _file_at(path: Path) -> tuple[int, int] | None:
    """Which file stands at the path, or None."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _database_id(connection: sqlite3.Connection) -> str | None:
    """The id; None where tables of the service are missing."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables >= {"lgs_database", "lgs_thread", "lgs_run"}:
        return None
    row = connection.execute("SELECT id FROM lgs_database").fetchone()
    return None if row is None else str(row[0])
