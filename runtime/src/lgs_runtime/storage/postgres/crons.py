"""Crons in PostgreSQL. The statements stand here too; `{order}` is filled from a fixed list of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.database.json_columns import dump_optional
from lgs_runtime.database.postgres import Database
from lgs_runtime.errors import NotFound
from lgs_runtime.model import Cron, Scope
from lgs_runtime.storage.postgres.record_statements import within
from lgs_runtime.storage.queries import CronQuery
from lgs_runtime.storage.schedules import CHANGEABLE
from lgs_runtime.storage.scope import documents

CREATE: Final = """
INSERT INTO lgs_cron (cron_id, assistant_id, thread_id, schedule, timezone, payload, metadata,
                      on_run_completed, end_time, enabled, next_run_date, caller)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING *
"""

CRON: Final = f"""
SELECT * FROM lgs_cron WHERE cron_id = $1 AND {within(2)}
"""

LOCK_CRON: Final = f"{CRON} FOR UPDATE"

UPDATE: Final = """
UPDATE lgs_cron
SET schedule = $2, timezone = $3, payload = $4, metadata = $5, on_run_completed = $6, end_time = $7,
    enabled = $8, next_run_date = $9, caller = $10, updated_at = now()
WHERE cron_id = $1 RETURNING *
"""

DELETE: Final = f"""
DELETE FROM lgs_cron WHERE cron_id = $1 AND {within(2)} RETURNING cron_id
"""

_CRONS: Final = f"""
FROM lgs_cron
WHERE ($1::text IS NULL OR assistant_id = $1) AND ($2::text IS NULL OR thread_id = $2)
  AND ($3::boolean IS NULL OR enabled = $3) AND ($4::jsonb IS NULL OR metadata @> $4)
  AND {within(5)}
"""

CRONS: Final = f"SELECT * {_CRONS} ORDER BY {{order}}, cron_id LIMIT $6 OFFSET $7"

COUNT: Final = f"SELECT count(*) {_CRONS}"

CLAIM: Final = """
WITH picked AS (
    SELECT cron_id FROM lgs_cron
    WHERE enabled AND next_run_date <= now() AND held_until <= now()
    ORDER BY next_run_date LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE lgs_cron c SET held_until = now() + make_interval(secs => $2::float8)
FROM picked WHERE c.cron_id = picked.cron_id RETURNING c.*
"""

ADVANCE: Final = """
UPDATE lgs_cron SET next_run_date = $3, held_until = '-infinity'
WHERE cron_id = $1 AND next_run_date = $2 RETURNING cron_id
"""


class PostgresCrons:
    """The `Crons` of the contract."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create_cron(self, cron: Cron) -> Cron:
        named = (cron.cron_id, cron.assistant_id, cron.thread_id)
        return _cron(await self._database.row(CREATE, *named, *_values(cron)), cron.cron_id)

    async def cron(self, cron_id: str, scope: Scope | None = None) -> Cron:
        return _cron(await self._database.row(CRON, cron_id, documents(scope)), cron_id)

    async def update_cron(self, cron_id: str, changes: Mapping[str, Any], scope: Scope | None = None) -> Cron:

        async def work(connection: asyncpg.Connection) -> Cron:
            stored = _cron(await connection.fetchrow(LOCK_CRON, cron_id, documents(scope)), cron_id)
            values = _values(stored, changes)
            return _cron(await connection.fetchrow(UPDATE, cron_id, *values), cron_id)

        return await self._database.transact(work)

    async def delete_cron(self, cron_id: str, scope: Scope | None = None) -> None:
        if await self._database.value(DELETE, cron_id, documents(scope)) is None:
            raise NotFound("cron", cron_id)

    async def crons(self, query: CronQuery) -> Sequence[Cron]:
        statement, page = CRONS.format(order=query.order), query.page
        found = await self._database.rows(statement, *_wanted(query), page.limit, page.offset)
        return [_cron(row, "") for row in found]

    async def count_crons(self, query: CronQuery) -> int:
        return int(await self._database.value(COUNT, *_wanted(query)))

    async def claim_crons(self, limit: int, hold_seconds: float) -> Sequence[Cron]:
        """One statement."""
        return [_cron(row, "") for row in await self._database.rows(CLAIM, limit, hold_seconds)]

    async def advance_cron(self, cron_id: str, due: datetime, following: datetime | None) -> bool:
        return await self._database.value(ADVANCE, cron_id, due, following) is not None


def _wanted(query: CronQuery) -> tuple[Any, ...]:
    """What is looked for, as the statements take it."""
    named = (query.assistant_id, query.thread_id, query.enabled)
    return (*named, dump_optional(query.metadata), documents(query.scope))


def _values(cron: Cron, changes: Mapping[str, Any] | None = None) -> list[Any]:
    """The changeable columns, in their order."""
    changed = {name: (changes or {}).get(name, getattr(cron, name)) for name in CHANGEABLE}
    for name in ("payload", "metadata", "caller"):
        changed[name] = dump_optional(changed[name])
    return list(changed.values())


def _cron(row: asyncpg.Record | None, cron_id: str) -> Cron:
    if row is None:
        raise NotFound("cron", cron_id)
    return Cron(**{name: row[name] for name in Cron.__dataclass_fields__})
