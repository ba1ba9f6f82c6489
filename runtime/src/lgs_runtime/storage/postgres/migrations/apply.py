"""Brings a database to the newest form of the tables.

`migrate` holds an advisory lock: replicas that start together on an empty database take turns, and only the
first finds something to do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg  # type: ignore[import-untyped]
import structlog

from lgs_runtime.database.addresses import masked
from lgs_runtime.errors import ConfigError
from lgs_runtime.storage.identity import unfit
from lgs_runtime.storage.postgres.migrations import MIGRATIONS

log = structlog.get_logger(__name__)
LOCK: Final = 0x6C67735F6D696772
"""Key of the advisory lock: `lgs_migr` in ASCII."""
NO_TIMEOUTS: Final = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0"
"""Turns off timeouts that an administrator set for statements of the service: they may be too short for
changes of its tables."""


async def migrate(connection: asyncpg.Connection, uri: str) -> None:
    """Makes the changes that the database lacks. If it lacks none, the role needs no right to make tables. A
    database that a later release has changed is left as it is. Raises `ConfigError` when the tables are not
    those that the database says it has."""
    done = await _done(connection)
    if done > len(MIGRATIONS):
        log.warning("database.of_a_later_release", changes=done, known=len(MIGRATIONS))
    if done >= len(MIGRATIONS):
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
            with fitting(masked(uri), done, version):
                await connection.execute(statements)
            await connection.execute("INSERT INTO lgs_migration (version) VALUES ($1)", version)


@contextmanager
def fitting(uri: str, done: int, version: int) -> Iterator[None]:
    """Turns the error of a change that does not fit the tables into a `ConfigError`."""
    try:
        yield
    except asyncpg.InsufficientPrivilegeError:
        raise
    except asyncpg.SyntaxOrAccessError as error:
        raise ConfigError(f"DATABASE_URI: {uri}: {unfit(done, version, error)}") from error


async def _done(connection: asyncpg.Connection) -> int:
    """The number of the last change made; 0 before the first."""
    if not await connection.fetchval("SELECT to_regclass('lgs_migration') IS NOT NULL"):
        return 0
    return int(await connection.fetchval("SELECT coalesce(max(version), 0) FROM lgs_migration"))
