"""Changes that a test makes in the database of a service, beside it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import psycopg

SQLITE = "sqlite:///"


def is_sqlite(database_uri: str) -> bool:
    return database_uri.startswith(SQLITE)


def edit_row(database_uri: str, change: str, *values: Any) -> None:
    """Executes a change of exactly one row, with `?` for each value on both databases."""
    if is_sqlite(database_uri):
        file = database_uri.removeprefix(SQLITE)
        with closing(sqlite3.connect(file, timeout=60)) as lite, lite:
            changed = lite.execute(change, values).rowcount
    else:
        with psycopg.connect(database_uri) as connection:
            changed = connection.execute(change.replace("?", "%s"), values).rowcount
    assert changed == 1, (change, values)


def administer(database_uri: str, *statements: str, file: str = "") -> None:
    """Executes statements as an administrator; on SQLite in the file whose name goes on with `file`."""
    if is_sqlite(database_uri):
        with closing(sqlite3.connect(database_uri.removeprefix(SQLITE) + file)) as lite, lite:
            for statement in statements:
                lite.execute(statement)
        return
    with psycopg.connect(database_uri, autocommit=True) as admin:
        for statement in statements:
            admin.execute(statement.encode())


def drop(database_uri: str, *tables: str, file: str = "") -> None:
    """As an administrator, with what depends on them."""
    cascade = "" if is_sqlite(database_uri) else " CASCADE"
    administer(database_uri, *(f"DROP TABLE {table}{cascade}" for table in tables), file=file)
