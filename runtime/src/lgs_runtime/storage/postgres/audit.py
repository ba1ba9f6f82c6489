"""The audit trail of threads in PostgreSQL, with its statements.

What the records of a thread and its runs tell is read from them (`AUDIT`); a trigger writes a run's part down
when its record goes, whichever statement deletes it. So a run costs nothing more while it is served.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.database.json_columns import dump, escape, unescape
from lgs_runtime.database.postgres import Database
from lgs_runtime.model import AuditEntry, Json, Page
from lgs_runtime.storage.actor import who

PRESENT: Final = """
at > coalesce((SELECT max(d.at) FROM lgs_audit d WHERE d.thread_id = $1 AND d.what = 'thread.deleted'),
              '-infinity')
AND (at >= (SELECT t.created_at FROM lgs_thread t WHERE t.thread_id = $1)
     OR NOT EXISTS (SELECT FROM lgs_audit d WHERE d.thread_id = $1 AND d.what = 'thread.deleted'))
"""
"""An entry is not of an earlier thread that had the same id."""

# What has the same moment stands in the order in which it must have happened.
AUDIT: Final = f"""
SELECT at, who, what, jsonb_strip_nulls(details) AS details FROM (
    SELECT at, seq, who, what, details FROM lgs_audit WHERE thread_id = $1 AND (NOT $4 OR {PRESENT})
    UNION ALL
    SELECT created_at, -3, created_by, 'thread.created', '{{}}' FROM lgs_thread WHERE thread_id = $1
    UNION ALL
    SELECT created_at, -2, created_by, 'run.created',
           jsonb_build_object('run_id', run_id, 'assistant_id', assistant_id)
    FROM lgs_run WHERE thread_id = $1 AND NOT delete_thread_after
    UNION ALL
    SELECT ended_at, -1, NULL, 'run.ended',
           jsonb_build_object('run_id', run_id, 'status', status, 'version', version, 'error', error)
    FROM lgs_run WHERE thread_id = $1 AND NOT delete_thread_after AND ended_at IS NOT NULL
) entry
ORDER BY at DESC, seq DESC LIMIT $2 OFFSET $3
"""

NOTE: Final = "INSERT INTO lgs_audit (thread_id, who, what, details) VALUES ($1, $2, $3, $4)"

NOTE_CANCELLED: Final = """
INSERT INTO lgs_audit (thread_id, who, what, details)
SELECT thread_id, $2, 'run.cancelled', jsonb_build_object('run_id', run_id, 'action', $3::text)
FROM lgs_run WHERE run_id = ANY($1::text[]) AND NOT delete_thread_after
"""

NOTE_CREATED: Final = """
INSERT INTO lgs_audit (thread_id, at, who, what)
SELECT thread_id, created_at, created_by, 'thread.created' FROM lgs_thread WHERE thread_id = $1
"""
"""What the record of a thread told, written down before it goes, and before that of its runs."""

EXPIRE_AUDIT: Final = """
WITH gone AS (
    DELETE FROM lgs_audit a
    WHERE thread_id IN (
        SELECT thread_id FROM lgs_audit
        WHERE what = 'thread.deleted' AND at < now() - make_interval(secs => $1::float8 * 86400))
      AND NOT EXISTS (SELECT FROM lgs_thread t WHERE t.thread_id = a.thread_id)
      AND NOT EXISTS (SELECT FROM lgs_audit later
                      WHERE later.thread_id = a.thread_id
                        AND later.at >= now() - make_interval(secs => $1::float8 * 86400))
    RETURNING 1
)
SELECT count(*) FROM gone
"""


class PostgresAudit:
    """The `Audit` of the contract."""

    _database: Database

    async def audit(self, thread_id: str, page: Page, *, present_only: bool = False) -> Sequence[AuditEntry]:
        found = await self._database.rows(AUDIT, thread_id, page.limit, page.offset, present_only)
        return [AuditEntry(row["at"], unescape(row["who"]), row["what"], row["details"]) for row in found]

    async def note(self, thread_id: str, what: str, details: Json) -> None:
        async with self._database.connection() as connection:
            await note(connection, thread_id, what, details)

    async def expire_audit(self, older_than_days: float) -> int:
        expired: int = await self._database.value(EXPIRE_AUDIT, older_than_days)
        return expired


async def note(connection: asyncpg.Connection, thread_id: str, what: str, details: Json) -> None:
    """An entry of the caller's transaction."""
    await connection.execute(NOTE, thread_id, escape(who()), what, dump(details))
