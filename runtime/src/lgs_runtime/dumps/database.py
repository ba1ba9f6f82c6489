"""Facts about the database that a backup is made of, or restored into."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final, LiteralString

import psycopg

from lgs_runtime.checkpoint.postgres import statements as checkpoints
from lgs_runtime.database.addresses import masked
from lgs_runtime.dumps.record import Target
from lgs_runtime.errors import Conflict, StorageUnavailable
from lgs_runtime.storage.identity import INCOMPLETE
from lgs_runtime.storage.postgres.migrations import MIGRATIONS
from lgs_runtime.storage.postgres.statements.identity import FAMILIES
from lgs_runtime.storage.tables import OWN

KNOWN: Final = {"lgs_migration": len(MIGRATIONS), "checkpoint_migrations": len(checkpoints.MIGRATIONS) - 1}
"""The parts of a database, with the newest migration of each that this runtime has."""
_NEWEST: Final[dict[str, LiteralString]] = {
    "lgs_migration": "SELECT max(version) FROM lgs_migration",
    "checkpoint_migrations": "SELECT max(v) FROM checkpoint_migrations",
}
_ID_TABLE: Final = "lgs_database"
_ID: Final = "SELECT id FROM lgs_database"
_KEPT: Final = "SELECT kept FROM lgs_database"
_SERVER: Final = "SELECT system_identifier::text FROM pg_control_system()"
"""The identity of a database whose tables are older than its id."""
_IS_THERE: Final = "SELECT to_regclass(%s) IS NOT NULL"
_THREADS: Final = "SELECT count(*) FROM lgs_thread"
_FOREIGN: Final = """
SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname NOT LIKE 'pg\\_toast%'
ORDER BY 1 LIMIT 1
"""
_NOTE: Final = (
    "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
)
RESTORED: Final = "restored from backup "
_CONNECT_SECONDS: Final = 5
_PAUSE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Facts:
    """A database with the tables of a runtime. `restored` names the backup that it was restored from; None:
    from none."""

    postgres: int
    identity: str
    schemas: dict[str, int]
    threads: int
    restored: str | None


def connected(uri: str, patience: float) -> psycopg.Connection[tuple[object, ...]]:
    """A connection, as soon as the database takes one. Raises `StorageUnavailable` after `patience`
    seconds."""
    end = time.monotonic() + patience
    while True:
        try:
            return psycopg.connect(uri, autocommit=True, connect_timeout=_CONNECT_SECONDS)
        except psycopg.OperationalError as error:
            if time.monotonic() > end:
                words = str(error).strip().replace("\n", " ")
                raise StorageUnavailable(f"DATABASE_URI: {masked(uri)}: {words}") from error
        time.sleep(_PAUSE_SECONDS)


def facts_of(connection: psycopg.Connection[tuple[object, ...]]) -> Facts | None:
    """The facts; None for a database without tables of a runtime."""
    schemas = {
        part: int(str(_value(connection, newest)))
        for part, newest in _NEWEST.items()
        if _value(connection, _IS_THERE, part) and _value(connection, newest) is not None
    }
    if "lgs_migration" not in schemas:
        return None
    note = str(_value(connection, _NOTE) or "")
    return Facts(
        postgres=target_of(connection).postgres,
        identity=str(_value(connection, _ID if _value(connection, _IS_THERE, _ID_TABLE) else _SERVER)),
        schemas=schemas,
        threads=int(str(_value(connection, _THREADS))),
        restored=note.removeprefix(RESTORED) if note.startswith(RESTORED) else None,
    )


def refuse_incomplete(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Raises `Conflict` for a database that has lost tables of the service: kept as the latest backup, it
    would be what is restored, and push out those that are whole. One that an earlier release made is not
    judged."""
    newest = _value(connection, _IS_THERE, "lgs_migration") and _value(connection, _NEWEST["lgs_migration"])
    if not newest or int(str(newest)) < len(MIGRATIONS):
        return
    wanted = [*OWN]
    if _value(connection, _IS_THERE, _ID_TABLE):
        kept = str(_value(connection, _KEPT) or "").split()
        wanted += [table for family in kept for table in FAMILIES.get(family, ())]
    lost = [table for table in wanted if not _value(connection, _IS_THERE, table)]
    if lost:
        raise Conflict(
            f"{INCOMPLETE}: it has lost {', '.join(lost)}: not kept as a backup, so that those from "
            "before stay"
        )


def target_of(connection: psycopg.Connection[tuple[object, ...]]) -> Target:
    """What a backup must fit to be restored here."""
    return Target(postgres=connection.info.server_version // 10000, schemas=KNOWN)


def foreign_table(connection: psycopg.Connection[tuple[object, ...]]) -> str | None:
    """The name of any table or view of somebody else, in a database that should be empty; else None."""
    found = _value(connection, _FOREIGN)
    return None if found is None else str(found)


def note_restore(connection: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    """Notes at the database which backup is about to be restored: a second try after a completed restore
    finds that it was done."""
    database = connection.info.dbname
    statement = psycopg.sql.SQL("COMMENT ON DATABASE {} IS {}")
    connection.execute(
        statement.format(psycopg.sql.Identifier(database), psycopg.sql.Literal(RESTORED + name))
    )


def _value(
    connection: psycopg.Connection[tuple[object, ...]], statement: LiteralString, *values: object
) -> object:
    row = connection.execute(statement, values or None).fetchone()
    return None if row is None else row[0]
