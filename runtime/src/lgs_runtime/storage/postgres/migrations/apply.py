"""Brings a database to the newest form of the tables, and checks that the service may use them.

`migrate` holds an advisory lock: replicas that start together on an empty database take turns, and only the
first finds something to do.
"""

from __future__ import annotations

from typing import Final

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.storage.postgres.migrations import MIGRATIONS

LOCK: Final = 0x6C67735F6D696772
"""Key of the advisory lock: `lgs_migr` in ASCII."""
NO_TIMEOUTS: Final = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0"
"""Turns off timeouts that an administrator set for statements of the service: they may be too short for
changes of its tables."""

_TABLE_WITHOUT_RIGHTS: Final = """
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relname LIKE 'lgs\\_%' AND pg_table_is_visible(oid)
  AND relname NOT IN ('lgs_migration', 'lgs_audit')
  AND NOT (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
           AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))
ORDER BY relname LIMIT 1
"""


async def migrate(connection: asyncpg.Connection) -> None:
    """Makes the changes that the database lacks. If it lacks none, the role needs no right to make tables."""
    if await _done(connection) >= len(MIGRATIONS):
        return
    async with connection.transaction():
        await connection.execute(NO_TIMEOUTS)
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS lgs_migration"
            " (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = await _done(connection)
        for version, statements in enumerate(MIGRATIONS[done:], start=done + 1):
            await connection.execute(statements)
            await connection.execute("INSERT INTO lgs_migration (version) VALUES ($1)", version)


async def _done(connection: asyncpg.Connection) -> int:
    """The number of the last change made; 0 before the first."""
    if not await connection.fetchval("SELECT to_regclass('lgs_migration') IS NOT NULL"):
        return 0
    return int(await connection.fetchval("SELECT coalesce(max(version), 0) FROM lgs_migration"))


async def check_rights(connection: asyncpg.Connection) -> None:
    """Raises `asyncpg.InsufficientPrivilegeError` when the role may not read and write a table of the
    service. Without the check, the replica would start, and fail at work."""
    table = await connection.fetchval(_TABLE_WITHOUT_RIGHTS)
    if table is not None:
        raise asyncpg.InsufficientPrivilegeError(
            f"the role must be allowed to SELECT, INSERT, UPDATE and DELETE in table {table}"
        )
