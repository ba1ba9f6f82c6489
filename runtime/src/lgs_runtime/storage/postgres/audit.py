"""The audit trail of threads in PostgreSQL.

The part that the records of a thread and its runs hold is read from them (`AUDIT`); when a run's record is
deleted, by whichever statement, a trigger writes its part down. So a run costs nothing more while it
executes.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.database.json_columns import dump, escape, unescape
from lgs_runtime.database.postgres import Database
from lgs_runtime.model import AuditEntry, Json, Page
from lgs_runtime.storage.actor import who
from lgs_runtime.storage.postgres.statements.audit import AUDIT, EXPIRE_AUDIT, NOTE


class PostgresAudit:
    """Implements `Audit` of the contract."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_thread(
        self, thread_id: str, page: Page, *, present_only: bool = False
    ) -> Sequence[AuditEntry]:
        found = await self._database.rows(AUDIT, thread_id, page.limit, page.offset, present_only)
        return [AuditEntry(row["at"], unescape(row["who"]), row["what"], row["details"]) for row in found]

    async def note(self, thread_id: str, what: str, details: Json) -> None:
        async with self._database.connection() as connection:
            await note(connection, thread_id, what, details)

    async def expire(self, older_than_days: float) -> int:
        expired: int = await self._database.value(EXPIRE_AUDIT, older_than_days)
        return expired


async def note(connection: asyncpg.Connection, thread_id: str, what: str, details: Json) -> None:
    """Adds an entry in the caller's transaction."""
    await connection.execute(NOTE, thread_id, escape(who()), what, dump(details))
