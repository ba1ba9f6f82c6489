"""Exports records of threads from SQLite and restores them, as plain JSON."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from lgs_runtime.database.json_columns import dump, escape, load, unescape
from lgs_runtime.database.sqlite import Database
from lgs_runtime.errors import Conflict, NotFound
from lgs_runtime.model import Json
from lgs_runtime.storage.archives import TABLES, Record
from lgs_runtime.storage.sqlite import rows
from lgs_runtime.storage.sqlite.statements.archives import (
    AUDIT,
    INSERT,
    RUN,
    RUNS,
    THREAD,
    THREAD_IDS,
    VERSIONS,
)

_IN: Final[Mapping[str, Callable[[Any], Any]]] = {"json": dump, "text": escape}
_OUT: Final[Mapping[str, Callable[[Any], Any]]] = {"json": load, "text": unescape}


class SqliteArchives:
    """Implements `Archives` of the contract."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
