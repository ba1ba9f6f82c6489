"""A look at a database in PostgreSQL, and the checks that it is the service's own, and whole."""

from __future__ import annotations

from collections.abc import Iterable

import asyncpg  # type: ignore[import-untyped]
import structlog

from lgs_runtime.database.addresses import masked
from lgs_runtime.errors import ConfigError, DatabaseReplaced, StorageUnavailable
from lgs_runtime.storage.identity import (
    INCOMPLETE,
    Found,
    Known,
    Relation,
    denied,
    incomplete,
    unlike,
    whole,
)
from lgs_runtime.storage.postgres.statements.identity import (
    ELSEWHERE,
    ENCODING,
    FAMILIES,
    ID,
    KEPT,
    LOOK,
    NOTE_FAMILY,
)

log = structlog.get_logger(__name__)


async def look(connection: asyncpg.Connection) -> Found:
    """What there is of the service's tables."""
    relations = {
        row["name"]: Relation(
            frozenset(row["columns"]),
            row["is_table"],
            row["has_key"],
            row["schema"],
            row["hidden"],
            row["denied"],
        )
        for row in await connection.fetch(LOOK)
    }
    database = relations.get("lgs_database")
    if database is None or database.denied:
        there = [row["schema"] for row in await connection.fetch(ELSEWHERE)] if database is None else ()
        return Found(relations, elsewhere=tuple(there))
    columns = database.columns
    if "id" not in columns:
        return Found(relations)
    if "kept" not in columns:
        return Found(relations, await connection.fetchval(ID))
    row = await connection.fetchrow(KEPT)
    return Found(relations) if row is None else Found(relations, row["id"], frozenset(row["kept"].split()))


async def check_known(connection: asyncpg.Connection, known: str | None, uri: str) -> None:
    """Raises `ConfigError` when the database does not have the id `known`,
    `asyncpg.InsufficientPrivilegeError` when the role may not use our own tables. Called before tables are
    made. A service that knows none takes what it finds; it logs a warning if other schemas have tables of a
    service."""
    found = await look(connection)
    # First: the id can not be read without the right to.
    if (refused := denied(found, FAMILIES, ())) is not None:
        raise asyncpg.InsufficientPrivilegeError(refused)
    if known is not None and (wrong := unlike(found, known)) is not None:
        way_on = "" if wrong.startswith(INCOMPLETE) else ", or start without LGS_DATABASE_ID"
        raise ConfigError(f"DATABASE_URI: {masked(uri)}: {wrong}{way_on}")
    await _check_encoding(connection, uri, is_new=not found.relations)
    if found.elsewhere:
        log.warning(
            "database.tables_in_another_schema",
            schemas=found.elsewhere,
            reason="search_path leads to none of them: tables are made anew in its first schema",
        )


async def _check_encoding(connection: asyncpg.Connection, uri: str, *, is_new: bool) -> None:
    """Raises `ConfigError` for a new database that can't keep every text; one that has tables is used, and
    the values that it can't keep are refused one by one."""
    encoding = await connection.fetchval(ENCODING)
    if encoding == "UTF8":
        return
    rule = "must be UTF8 (CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0)"
    if is_new:
        raise ConfigError(f"DATABASE_URI: {masked(uri)}: its encoding is {encoding}: {rule}")
    log.warning("database.encoding", encoding=encoding, rule=rule)


async def opened(connection: asyncpg.Connection, used: Iterable[str], uri: str) -> Known:
    """What a replica that uses these families knows of the database from now on, whose tables are made.
    Raises `ConfigError` when some are lost or not ours, `asyncpg.InsufficientPrivilegeError` when the role
    may not use them: the replica would start, and fail at work."""
    found, used = await look(connection), frozenset(used)
    if (refused := denied(found, FAMILIES, used)) is not None:
        raise asyncpg.InsufficientPrivilegeError(refused)
    # Others may be making the tables of a family for the first time, at this moment.
    kept = {name: tables for name, tables in FAMILIES.items() if name in used & found.kept}
    if (wrong := incomplete(found, kept, kept)) is not None:
        raise ConfigError(f"DATABASE_URI: {masked(uri)}: {wrong}")
    return Known(str(found.id), used)


async def note_families(connection: asyncpg.Connection, known: Known, uri: str) -> None:
    """Notes in the database which families it has, of those that the replica uses. Their tables have just
    been made, or found to be up to date by their migrations. Raises `ConfigError` when some are missing all
    the same."""
    found = await look(connection)
    for family in sorted(known.used & whole(found, FAMILIES)):
        await connection.execute(NOTE_FAMILY, family)
        known.seen.add(family)
    if (wrong := known.fault(found, FAMILIES)) is not None:
        raise ConfigError(f"DATABASE_URI: {masked(uri)}: {wrong}")


async def check(connection: asyncpg.Connection, known: Known) -> None:
    """Raises `DatabaseReplaced` when this is not the database that is known, or it is not whole;
    `StorageUnavailable` when the role may not use its tables any more."""
    found = await look(connection)
    # First: without the right to read a table, nothing is known of what is in it.
    if (refused := denied(found, FAMILIES, known.used)) is not None:
        raise StorageUnavailable(f"the database refuses its tables: {refused}")
    if (wrong := known.fault(found, FAMILIES)) is not None:
        raise DatabaseReplaced(wrong)
