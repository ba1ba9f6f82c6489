"""Records of threads out of SQLite and into it, with the statements."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from lgs_runtime.database.json_columns import dump, escape, load, unescape
from lgs_runtime.database.sqlite import Database
from lgs_runtime.errors import Conflict, NotFound
from lgs_runtime.model import Json
from lgs_runtime.storage.archives import TABLES, Record
from lgs_runtime.storage.sqlite import rows
from lgs_runtime.storage.sqlite.audit import PRESENT

THREAD: Final = "SELECT * FROM lgs_thread WHERE thread_id = ?"
RUNS: Final = """
SELECT * FROM lgs_run
WHERE thread_id = :thread_id AND ended_at IS NOT NULL AND NOT delete_thread_after ORDER BY seq
"""
VERSIONS: Final = "SELECT * FROM lgs_version WHERE thread_id = :thread_id ORDER BY version"
AUDIT: Final = f"SELECT * FROM lgs_audit WHERE thread_id = :thread_id AND {PRESENT} ORDER BY seq"
THREAD_IDS: Final = "SELECT thread_id FROM lgs_thread WHERE thread_id > ? ORDER BY thread_id LIMIT ?"
RUN: Final = "SELECT 1 FROM lgs_run WHERE run_id = ?"
EXPECT_SPENT: Final = "INSERT OR IGNORE INTO lgs_spent_thread (thread_id, spent_at) VALUES (?, ?)"
_QUOTED: Final = {table: [f'"{name}"' for name in columns] for table, columns in TABLES.items()}
INSERT: Final = {
    table: f"INSERT INTO lgs_{table} ({', '.join(_QUOTED[table])}) VALUES ({', '.join('?' * len(columns))})"
    for table, columns in TABLES.items()
}


_IN: Final[Mapping[str, Callable[[Any], Any]]] = {"json": dump, "text": escape}
_OUT: Final[Mapping[str, Callable[[Any], Any]]] = {"json": load, "text": unescape}


class SqliteArchives:
    """The `Archives` of the contract."""

    _database: Database

    async def record(self, thread_id: str) -> Record:

        def work(connection: sqlite3.Connection) -> Record:
            thread = connection.execute(THREAD, (thread_id,)).fetchone()
            if thread is None:
                raise NotFound("thread", thread_id)
            named = (("run", RUNS), ("version", VERSIONS), ("audit", AUDIT))
            found = [
                [
                    _plain(table, row)
                    for row in connection.execute(statement, {"thread_id": thread_id}).fetchall()
                ]
                for table, statement in named
            ]
            return Record(_plain("thread", thread), *found)

        return await self._database.write(work)

    async def restore(self, record: Record) -> None:

        def work(connection: sqlite3.Connection) -> None:
            thread_id = record.thread["thread_id"]
            for run in record.runs:
                if connection.execute(RUN, (run["run_id"],)).fetchone() is not None:
                    raise Conflict(f"run {run['run_id']} exists: a thread is imported where its runs are not")
            if connection.execute(THREAD, (thread_id,)).fetchone() is not None:
                raise Conflict(f"thread {thread_id} exists: if_exists is raise")
            named = (("run", record.runs), ("version", record.versions), ("audit", record.audit))
            for table, found in (("thread", [record.thread]), *named):
                connection.executemany(INSERT[table], [_values(table, row) for row in found])

        await self._database.write(work)

    async def thread_ids(self, after: str, limit: int) -> Sequence[str]:
        found = await self._database.read(lambda c: c.execute(THREAD_IDS, (after, limit)).fetchall())
        return [row["thread_id"] for row in found]

    async def expect_spent(self, thread_id: str, seconds: float) -> None:
        values = (thread_id, time.time() + seconds)
        await self._database.write(lambda c: c.execute(EXPECT_SPENT, values).rowcount)


def _plain(table: str, row: sqlite3.Row) -> Json:
    return {name: _out(kind.rstrip("?"), row[name]) for name, kind in TABLES[table].items()}


def _out(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind in _OUT:
        return _OUT[kind](value)
    if kind == "time":
        return rows.time(value).isoformat()
    return bool(value) if kind == "bool" else value


def _values(table: str, row: Json) -> list[Any]:
    return [_in(kind.rstrip("?"), row[name]) for name, kind in TABLES[table].items()]


def _in(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind in _IN:
        return _IN[kind](value)
    return datetime.fromisoformat(value).timestamp() if kind == "time" else value
