"""Exports records of threads from PostgreSQL and restores them, as plain JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.database.json_columns import dump, escape, unescape
from lgs_runtime.database.postgres import Database
from lgs_runtime.errors import Conflict, NotFound
from lgs_runtime.model import Json
from lgs_runtime.storage.archives import TABLES, Record
from lgs_runtime.storage.postgres.statements.archives import (
    AUDIT,
    INSERT,
    INSERT_THREAD,
    RUNS,
    TAKEN_RUNS,
    THREAD,
    THREAD_IDS,
    VERSIONS,
)

_IN: Final[Mapping[str, Callable[[Any], Any]]] = {"json": dump, "text": escape}


class PostgresArchives:
    """Implements `Archives` of the contract."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, thread_id: str) -> Record:
        """Reads one moment of the database: the statements share a snapshot."""
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            thread = await connection.fetchrow(THREAD, thread_id)
            if thread is None:
                raise NotFound("thread", thread_id)
            found = [await connection.fetch(each, thread_id) for each in (RUNS, VERSIONS, AUDIT)]
        runs, versions, audit = found
        return Record(
            _plain("thread", thread),
            [_plain("run", row) for row in runs],
            [_plain("version", row) for row in versions],
            [_plain("audit", row) for row in audit],
        )

    async def restore(self, record: Record) -> None:

        async def work(connection: asyncpg.Connection) -> None:
            taken = await connection.fetchval(TAKEN_RUNS, [run["run_id"] for run in record.runs])
            if taken is not None:
                raise Conflict(f"run {taken} exists: a thread is imported where its runs are not")
            added = await connection.execute(INSERT_THREAD, *_values("thread", record.thread))
            if not added.endswith(" 1"):
                raise Conflict(f"thread {record.thread['thread_id']} exists: if_exists is raise")
            for table, found in (("run", record.runs), ("version", record.versions), ("audit", record.audit)):
                await connection.executemany(INSERT[table], [_values(table, row) for row in found])

        await self._database.transact(work)

    async def thread_ids(self, after: str, limit: int) -> Sequence[str]:
        return [row["thread_id"] for row in await self._database.rows(THREAD_IDS, after, limit)]


def _plain(table: str, row: Mapping[str, Any]) -> Json:
    return {name: _out(kind.rstrip("?"), row[name]) for name, kind in TABLES[table].items()}


def _out(kind: str, value: Any) -> Any:
    if kind == "text":
        return unescape(value)
    return value.isoformat() if isinstance(value, datetime) else value


def _values(table: str, row: Json) -> list[Any]:
    return [_value(kind.rstrip("?"), row[name]) for name, kind in TABLES[table].items()]


def _value(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind in _IN:
        return _IN[kind](value)
    return datetime.fromisoformat(value) if kind == "time" else value
