"""Crons in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from lgs_runtime.database.json_columns import dump, dump_optional, load
from lgs_runtime.database.sqlite import Database
from lgs_runtime.errors import NotFound
from lgs_runtime.model import Cron, Scope
from lgs_runtime.storage.contract.crons import CHANGEABLE
from lgs_runtime.storage.queries import CronQuery
from lgs_runtime.storage.scope import document_list
from lgs_runtime.storage.sqlite import rows
from lgs_runtime.storage.sqlite.access import all_read, all_rows
from lgs_runtime.storage.sqlite.statements.crons import (
    ADVANCE,
    ANY_DUE,
    CLAIM,
    COUNT,
    CREATE,
    CRON,
    CRONS,
    DELETE,
    UPDATE,
)


class SqliteCrons:
    """Implements `Crons` of the contract."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, cron: Cron) -> Cron:
        named = {"assistant_id": cron.assistant_id, "thread_id": cron.thread_id}
        return await self._write_one(CREATE, cron.cron_id, {**named, **_values(cron)})

    async def get(self, cron_id: str, scope: Scope | None = None) -> Cron:
        found = await all_read(self._database, CRON, {"cron_id": cron_id, "scope": document_list(scope)})
        if not found:
            raise NotFound("cron", cron_id)
        return _cron(found[0])

    async def update(self, cron_id: str, changes: Mapping[str, Any], scope: Scope | None = None) -> Cron:

        def work(connection: sqlite3.Connection) -> sqlite3.Row | None:
            stored = all_rows(connection, CRON, {"cron_id": cron_id, "scope": document_list(scope)})
            if not stored:
                return None
            values = {"cron_id": cron_id, **_values(_cron(stored[0]), changes)}
            return all_rows(connection, UPDATE, values)[0]

        row = await self._database.write(work)
        if row is None:
            raise NotFound("cron", cron_id)
        return _cron(row)

    async def delete(self, cron_id: str, scope: Scope | None = None) -> None:
        named = {"cron_id": cron_id, "scope": document_list(scope)}
        if not await self._database.write(lambda c: all_rows(c, DELETE, named)):
            raise NotFound("cron", cron_id)

    async def search(self, query: CronQuery) -> Sequence[Cron]:
        statement, page = CRONS.format(order=query.order), query.page
        found = await all_read(
            self._database, statement, {**_wanted(query), "limit": page.limit, "offset": page.offset}
        )
        return [_cron(row) for row in found]

    async def count(self, query: CronQuery) -> int:
        found = await all_read(self._database, COUNT, _wanted(query))
        return int(found[0][0])

    async def claim(self, limit: int, hold_seconds: float) -> Sequence[Cron]:
        """One read when no cron is due."""
        if not await all_read(self._database, ANY_DUE, {}):
            return []
        wanted = {"limit": limit, "hold": hold_seconds}
        return [_cron(row) for row in await self._database.write(lambda c: all_rows(c, CLAIM, wanted))]

    async def advance(self, cron_id: str, due: datetime, following: datetime | None) -> bool:
        values = {"cron_id": cron_id, "due": due.timestamp(), "following": _seconds(following)}
        return bool(await self._database.write(lambda c: all_rows(c, ADVANCE, values)))

    async def _write_one(self, statement: str, cron_id: str, values: Mapping[str, Any]) -> Cron:
        named = {"cron_id": cron_id, **values}
        return _cron((await self._database.write(lambda c: all_rows(c, statement, named)))[0])


def _wanted(query: CronQuery) -> dict[str, Any]:
    """The conditions of a search, as the statements take them."""
    named = {"assistant_id": query.assistant_id, "thread_id": query.thread_id, "enabled": query.enabled}
    return {**named, "metadata": dump_optional(query.metadata), "scope": document_list(query.scope)}


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _values(cron: Cron, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The changeable columns."""
    changed = {name: (changes or {}).get(name, getattr(cron, name)) for name in CHANGEABLE}
    changed["payload"] = dump(changed["payload"])
    changed["metadata"] = dump(changed["metadata"])
    changed["caller"] = None if changed["caller"] is None else dump(changed["caller"])
    for name in ("end_time", "next_run_date"):
        changed[name] = _seconds(changed[name])
    return changed


def _cron(row: sqlite3.Row) -> Cron:
    fields = {name: row[name] for name in Cron.__dataclass_fields__}
    for name in ("payload", "metadata", "caller"):
        fields[name] = None if fields[name] is None else load(fields[name])
    for name in ("end_time", "next_run_date", "created_at", "updated_at"):
        fields[name] = None if fields[name] is None else rows.time(fields[name])
    return Cron(**{**fields, "enabled": bool(fields["enabled"])})
