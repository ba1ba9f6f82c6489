"""Crons in SQLite. The statements stand here too; `{order}` is filled from a fixed list of columns."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from lgs_runtime.database.json_columns import dump, dump_optional, load
from lgs_runtime.database.sqlite import Database
from lgs_runtime.errors import NotFound
from lgs_runtime.model import Cron, Scope
from lgs_runtime.storage.queries import CronQuery
from lgs_runtime.storage.schedules import CHANGEABLE
from lgs_runtime.storage.scope import document_list
from lgs_runtime.storage.sqlite import rows
from lgs_runtime.storage.sqlite.record_statements import within

CREATE: Final = """
INSERT INTO lgs_cron (cron_id, assistant_id, thread_id, schedule, timezone, payload, metadata,
                      on_run_completed, end_time, enabled, next_run_date, caller, created_at, updated_at)
VALUES (:cron_id, :assistant_id, :thread_id, :schedule, :timezone, :payload, :metadata, :on_run_completed,
        :end_time, :enabled, :next_run_date, :caller, :now, :now)
RETURNING *
"""

CRON: Final = f"SELECT * FROM lgs_cron WHERE cron_id = :cron_id AND {within()}"

UPDATE: Final = """
UPDATE lgs_cron
SET schedule = :schedule, timezone = :timezone, payload = :payload, metadata = :metadata,
    on_run_completed = :on_run_completed, end_time = :end_time, enabled = :enabled,
    next_run_date = :next_run_date, caller = :caller, updated_at = :now
WHERE cron_id = :cron_id RETURNING *
"""

DELETE: Final = f"""
DELETE FROM lgs_cron WHERE cron_id = :cron_id AND {within()} RETURNING cron_id
"""

_CRONS: Final = f"""
FROM lgs_cron
WHERE (:assistant_id IS NULL OR assistant_id = :assistant_id)
  AND (:thread_id IS NULL OR thread_id = :thread_id) AND (:enabled IS NULL OR enabled = :enabled)
  AND (:metadata IS NULL OR lgs_contains(metadata, :metadata))
  AND {within()}
"""

CRONS: Final = f"SELECT * {_CRONS} ORDER BY {{order}}, cron_id LIMIT :limit OFFSET :offset"

COUNT: Final = f"SELECT count(*) {_CRONS}"

_DUE: Final = "enabled AND next_run_date <= :now AND held_until <= :now"

ANY_DUE: Final = f"SELECT 1 FROM lgs_cron WHERE {_DUE} LIMIT 1"

CLAIM: Final = f"""
UPDATE lgs_cron SET held_until = :now + :hold
WHERE cron_id IN (SELECT cron_id FROM lgs_cron WHERE {_DUE} ORDER BY next_run_date LIMIT :limit)
RETURNING *
"""

ADVANCE: Final = """
UPDATE lgs_cron SET next_run_date = :following, held_until = 0
WHERE cron_id = :cron_id AND abs(next_run_date - :due) < 0.000001 RETURNING cron_id
"""


class SqliteCrons:
    """The `Crons` of the contract."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create_cron(self, cron: Cron) -> Cron:
        named = {"assistant_id": cron.assistant_id, "thread_id": cron.thread_id}
        return await self._write_one(CREATE, cron.cron_id, {**named, **_values(cron)})

    async def cron(self, cron_id: str, scope: Scope | None = None) -> Cron:
        found = await self._read(CRON, {"cron_id": cron_id, "scope": document_list(scope)})
        if not found:
            raise NotFound("cron", cron_id)
        return _cron(found[0])

    async def update_cron(self, cron_id: str, changes: Mapping[str, Any], scope: Scope | None = None) -> Cron:

        def work(connection: sqlite3.Connection) -> sqlite3.Row | None:
            stored = _all(connection, CRON, {"cron_id": cron_id, "scope": document_list(scope)})
            if not stored:
                return None
            values = {"cron_id": cron_id, **_values(_cron(stored[0]), changes)}
            return _all(connection, UPDATE, values)[0]

        row = await self._database.write(work)
        if row is None:
            raise NotFound("cron", cron_id)
        return _cron(row)

    async def delete_cron(self, cron_id: str, scope: Scope | None = None) -> None:
        named = {"cron_id": cron_id, "scope": document_list(scope)}
        if not await self._database.write(lambda c: _all(c, DELETE, named)):
            raise NotFound("cron", cron_id)

    async def crons(self, query: CronQuery) -> Sequence[Cron]:
        statement, page = CRONS.format(order=query.order), query.page
        found = await self._read(statement, {**_wanted(query), "limit": page.limit, "offset": page.offset})
        return [_cron(row) for row in found]

    async def count_crons(self, query: CronQuery) -> int:
        found = await self._read(COUNT, _wanted(query))
        return int(found[0][0])

    async def claim_crons(self, limit: int, hold_seconds: float) -> Sequence[Cron]:
        """One read when none is due."""
        if not await self._read(ANY_DUE, {}):
            return []
        wanted = {"limit": limit, "hold": hold_seconds}
        return [_cron(row) for row in await self._database.write(lambda c: _all(c, CLAIM, wanted))]

    async def advance_cron(self, cron_id: str, due: datetime, following: datetime | None) -> bool:
        values = {"cron_id": cron_id, "due": due.timestamp(), "following": _seconds(following)}
        return bool(await self._database.write(lambda c: _all(c, ADVANCE, values)))

    async def _write_one(self, statement: str, cron_id: str, values: Mapping[str, Any]) -> Cron:
        named = {"cron_id": cron_id, **values}
        return _cron((await self._database.write(lambda c: _all(c, statement, named)))[0])

    async def _read(self, statement: str, values: Mapping[str, Any]) -> list[sqlite3.Row]:
        return await self._database.read(lambda connection: _all(connection, statement, values))


def _all(connection: sqlite3.Connection, statement: str, values: Mapping[str, Any]) -> list[sqlite3.Row]:
    return connection.execute(statement, {"now": time.time(), **values}).fetchall()


def _wanted(query: CronQuery) -> dict[str, Any]:
    """What is looked for, as the statements take it."""
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
