"""Runs one statement of SQLite and returns its rows. Every statement may name `:now`, the machine's clock in
seconds since the epoch."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from typing import Any

from lgs_runtime.database.sqlite import Database


def all_rows(connection: sqlite3.Connection, statement: str, values: Mapping[str, Any]) -> list[sqlite3.Row]:
    """All rows, in the transaction of the caller."""
    return connection.execute(statement, {"now": time.time(), **values}).fetchall()


def one_row(connection: sqlite3.Connection, statement: str, values: Mapping[str, Any]) -> sqlite3.Row | None:
    """The first row. All rows are fetched: a statement left half-read would keep the transaction from
    ending."""
    found = all_rows(connection, statement, values)
    return found[0] if found else None


async def all_read(database: Database, statement: str, values: Mapping[str, Any]) -> list[sqlite3.Row]:
    """All rows of a statement that changes nothing."""
    return await database.read(lambda connection: all_rows(connection, statement, values))


async def one_read(database: Database, statement: str, values: Mapping[str, Any]) -> sqlite3.Row | None:
    """The first row of a statement that changes nothing."""
    return await database.read(lambda connection: one_row(connection, statement, values))
