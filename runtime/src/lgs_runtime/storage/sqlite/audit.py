"""The audit trail of threads in SQLite, with its statements.

What the records of a thread and its runs tell is read from them (`AUDIT`); a trigger writes a run's part down
when its record goes, whichever statement deletes it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from typing import Final

from lgs_runtime.database.json_columns import dump, escape, load, unescape
from lgs_runtime.database.sqlite import Database
from lgs_runtime.model import AuditEntry, Json, Page
from lgs_runtime.storage.actor import who
from lgs_runtime.storage.sqlite import rows

PRESENT: Final = """
at > coalesce((SELECT max(d.at) FROM lgs_audit d
               WHERE d.thread_id = :thread_id AND d.what = 'thread.deleted'), 0)
AND (at >= (SELECT t.created_at FROM lgs_thread t WHERE t.thread_id = :thread_id)
     OR NOT EXISTS (SELECT 1 FROM lgs_audit d WHERE d.thread_id = :thread_id AND d.what = 'thread.deleted'))
"""
"""An entry is not of an earlier thread that had the same id."""

# What has the same moment stands in the order in which it must have happened.
AUDIT: Final = f"""
SELECT at, who, what, details FROM (
    SELECT at, seq, who, what, details FROM lgs_audit
    WHERE thread_id = :thread_id AND (NOT :present_only OR {PRESENT})
    UNION ALL
    SELECT created_at, -3, created_by, 'thread.created', '{{}}'
    FROM lgs_thread WHERE thread_id = :thread_id
    UNION ALL
    SELECT created_at, -2, created_by, 'run.created',
           json_object('run_id', run_id, 'assistant_id', assistant_id)
    FROM lgs_run WHERE thread_id = :thread_id AND NOT delete_thread_after
    UNION ALL
    SELECT ended_at, -1, NULL, 'run.ended',
           json_object('run_id', run_id, 'status', status, 'version', version, 'error', error)
    FROM lgs_run WHERE thread_id = :thread_id AND NOT delete_thread_after AND ended_at IS NOT NULL
)
ORDER BY at DESC, seq DESC LIMIT :limit OFFSET :offset
"""

NOTE: Final = """
INSERT INTO lgs_audit (thread_id, at, who, what, details) VALUES (:thread_id, :now, :who, :what, :details)
"""

NOTE_CREATED: Final = """
INSERT INTO lgs_audit (thread_id, at, who, what, details)
SELECT thread_id, created_at, created_by, 'thread.created', '{}' FROM lgs_thread WHERE thread_id = :thread_id
"""

EXPIRE_AUDIT: Final = """
DELETE FROM lgs_audit
WHERE thread_id IN (SELECT thread_id FROM lgs_audit WHERE what = 'thread.deleted' AND at < :before)
  AND NOT EXISTS (SELECT 1 FROM lgs_thread t WHERE t.thread_id = lgs_audit.thread_id)
  AND NOT EXISTS (SELECT 1 FROM lgs_audit later
                  WHERE later.thread_id = lgs_audit.thread_id AND later.at >= :before)
"""


class SqliteAudit:
    """The `Audit` of the contract."""

    _database: Database

    async def audit(self, thread_id: str, page: Page, *, present_only: bool = False) -> Sequence[AuditEntry]:
        wanted = {"thread_id": thread_id, "limit": page.limit, "offset": page.offset}
        wanted["present_only"] = present_only
        found = await self._database.read(lambda c: c.execute(AUDIT, wanted).fetchall())
        return [_entry(row) for row in found]

    async def note(self, thread_id: str, what: str, details: Json) -> None:
        asker = who()
        await self._database.write(lambda connection: note(connection, thread_id, what, details, asker))

    async def expire_audit(self, older_than_days: float) -> int:
        before = {"before": time.time() - older_than_days * 86400}
        return await self._database.write(lambda c: c.execute(EXPIRE_AUDIT, before).rowcount)


def note(connection: sqlite3.Connection, thread_id: str, what: str, details: Json, asker: str | None) -> None:
    """An entry of the caller's transaction."""
    entry = {"thread_id": thread_id, "now": time.time(), "who": escape(asker), "what": what}
    connection.execute(NOTE, {**entry, "details": dump(details)})


def note_deleted(connection: sqlite3.Connection, thread_id: str, asker: str | None) -> None:
    """Writes down, before a thread's record goes, what it told and that it goes."""
    connection.execute(NOTE_CREATED, {"thread_id": thread_id})
    note(connection, thread_id, "thread.deleted", {}, asker)


def _entry(row: sqlite3.Row) -> AuditEntry:
    details = {name: value for name, value in load(row["details"]).items() if value is not None}
    return AuditEntry(rows.time(row["at"]), unescape(row["who"]), row["what"], details)
