"""Brings a file to the newest form of the tables."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator

import structlog

from lgs_runtime.errors import ConfigError
from lgs_runtime.storage.identity import unfit
from lgs_runtime.storage.sqlite.migrations import MIGRATIONS

log = structlog.get_logger(__name__)


def migrate(connection: sqlite3.Connection) -> None:
    """Makes the changes that the file lacks. Call it in a transaction that holds the write lock, so that
    processes that start together on an empty file migrate it one after the other. A file that a later release
    has changed is left as it is. Raises `ConfigError` when the tables are not those that the file says it
    has."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS lgs_migration (version INTEGER PRIMARY KEY, applied_at REAL NOT NULL)"
    )
    done = connection.execute("SELECT coalesce(max(version), 0) FROM lgs_migration").fetchone()[0]
    if done > len(MIGRATIONS):
        log.warning("database.of_a_later_release", changes=done, known=len(MIGRATIONS))
    for version, statements in enumerate(MIGRATIONS[done:], start=done + 1):
        try:
            for statement in _single(statements):
                connection.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            raise ConfigError(f"DATABASE_URI: {_file(connection)}: {unfit(done, version, error)}") from error
        connection.execute("INSERT INTO lgs_migration VALUES (?, ?)", (version, time.time()))


def _file(connection: sqlite3.Connection) -> str:
    return f"sqlite:///{connection.execute('PRAGMA database_list').fetchone()['file']}"


def _single(statements: str) -> Iterator[str]:
    """Yields the statements one by one; a trigger's own statements stay inside of it."""
    statement = ""
    for part in statements.split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
