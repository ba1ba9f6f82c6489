"""The id of a database in PostgreSQL, and the check that it is the service's own."""

from __future__ import annotations

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.database.addresses import masked
from lgs_runtime.errors import ConfigError
from lgs_runtime.storage.identity import mismatch
from lgs_runtime.storage.postgres.statements.identity import ID, TABLES_ARE_THERE


async def database_id(connection: asyncpg.Connection) -> str | None:
    """The id; None when tables of the service are missing."""
    if not await connection.fetchval(TABLES_ARE_THERE):
        return None
    found: str | None = await connection.fetchval(ID)
    return found


async def check_known(connection: asyncpg.Connection, known: str | None, uri: str) -> None:
    """Raises `ConfigError` when the database does not have the id `known`. Called before tables are made."""
    wrong = None if known is None else mismatch(await database_id(connection), known)
    if wrong is not None:
        raise ConfigError(f"DATABASE_URI: {masked(uri)}: {wrong}, or start without LGS_DATABASE_ID")
