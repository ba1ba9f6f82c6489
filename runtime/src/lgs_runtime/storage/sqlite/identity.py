"""The id of a database in SQLite, and the identity of the file at its path."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from lgs_runtime.storage.sqlite.statements.identity import ID, TABLES


def file_at(path: Path) -> tuple[int, int] | None:
    """Device and inode of the file at the path; None: there is no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def database_id(connection: sqlite3.Connection) -> str | None:
    """The id; None when tables of the service are missing."""
    tables = {row[0] for row in connection.execute(TABLES)}
    if not tables >= {"lgs_database", "lgs_thread", "lgs_run"}:
        return None
    row = connection.execute(ID).fetchone()
    return None if row is None else str(row[0])
