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
