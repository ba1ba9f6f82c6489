"""Brings a file to the newest form of the tables."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator

from lgs_runtime.storage.sqlite.migrations import MIGRATIONS


def migrate(connection: sqlite3.Connection) -> None:
    """Makes the changes that the file lacks. Call it in a transaction that holds the write lock, so that
    processes that start together on an empty file migrate it one after the other."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS lgs_migration (version INTEGER PRIMARY KEY, applied_at REAL NOT NULL)"
    )
    done = connection.execute("SELECT coalesce(max(version), 0) FROM lgs_migration").fetchone()[0]
    for version, statements in enumerate(MIGRATIONS[done:], start=done + 1):
        for statement in _single(statements):
            connection.execute(statement)
        connection.execute("INSERT INTO lgs_migration VALUES (?, ?)", (version, time.time()))


def _single(statements: str) -> Iterator[str]:
    """Yields the statements one by one; a trigger's own statements stay inside of it."""
    statement = ""
    for part in statements.split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
