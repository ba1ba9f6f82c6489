"""The audit trail of threads in SQLite.

The part that the records of a thread and its runs hold is read from them (`AUDIT`); when a run's record is
deleted, by whichever statement, a trigger writes its part down.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from lgs_runtime.database.json_columns import dump, escape, load, unescape
from lgs_runtime.database.sqlite import Database
from lgs_runtime.model import AuditEntry, Json, Page
from lgs_runtime.storage.actor import who
from lgs_runtime.storage.sqlite import rows
from lgs_runtime.storage.sqlite.statements.audit import AUDIT, EXPIRE_AUDIT, NOTE, NOTE_CREATED


class SqliteAudit:
    """Implements `Audit` of the contract."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_thread(
        self, thread_id: str, page: Page, *, present_only: bool = False
    ) -> Sequence[AuditEntry]:
        wanted = {"thread_id": thread_id, "limit": page.limit, "offset": page.offset}
        wanted["present_only"] = present_only
        found = await self._database.read(lambda c: c.execute(AUDIT, wanted).fetchall())
        return [_entry(row) for row in found]

    async def note(self, thread_id: str, what: str, details: Json) -> None:
        asker = who()
        await self._database.write(lambda connection: note(connection, thread_id, what, details, asker))

    async def expire(self, older_than_days: float) -> int:
        before = {"before": time.time() - older_than_days * 86400}
        return await self._database.write(lambda c: c.execute(EXPIRE_AUDIT, before).rowcount)


def note(connection: sqlite3.Connection, thread_id: str, what: str, details: Json, asker: str | None) -> None:
    """Adds an entry in the caller's transaction."""
    entry = {"thread_id": thread_id, "now": time.time(), "who": escape(asker), "what": what}
    connection.execute(NOTE, {**entry, "details": dump(details)})


def note_deleted(connection: sqlite3.Connection, thread_id: str, asker: str | None, details: Json) -> None:
    """Notes the creation and the deletion of a thread, before its record is deleted."""
    connection.execute(NOTE_CREATED, {"thread_id": thread_id})
    note(connection, thread_id, "thread.deleted", details, asker)


def _entry(row: sqlite3.Row) -> AuditEntry:
    details = {name: value for name, value in load(row["details"]).items() if value is not None}
    return AuditEntry(rows.time(row["at"]), unescape(row["who"]), row["what"], details)
