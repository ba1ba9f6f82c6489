"""Everything that a service keeps, as bytes: all tables of a database, and all keys of a Redis."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import redis

TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"


async def postgres_at_rest(uri: str) -> dict[str, bytes]:
    """The rows of every table, by its name."""
    connection = await asyncpg.connect(uri)
    try:
        found = {}
        for row in await connection.fetch(TABLES):
            out = io.BytesIO()
            await connection.copy_from_table(row["table_name"], output=out, format="binary")
            found[row["table_name"]] = out.getvalue()
        return found
    finally:
        await connection.close()


def sqlite_at_rest(folder: Path) -> dict[str, bytes]:
    """The rows of every table of every database in a folder, by file and name; and every file as it is."""
    found = _files(folder)
    for name in [name for name, content in found.items() if content.startswith(b"SQLite format 3")]:
        with closing(sqlite3.connect(folder / name)) as connection:
            for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
                rows = connection.execute(f'SELECT * FROM "{table}"').fetchall()
                found[f"{name}: {table}"] = b"\n".join(_bytes(value) for row in rows for value in row)
    return found


def _files(folder: Path) -> dict[str, bytes]:
    """Every file as it is, before a database is opened: the last connection that is closed, which may be
    ours, deletes the `-wal` beside it. One that goes while it is read is in the database by then, so that
    all are read again."""
    while True:
        with suppress(FileNotFoundError):
            return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.is_dir()}


def redis_at_rest(uri: str) -> dict[str, bytes]:
    """The value of every key."""
    readers: dict[bytes, Any] = {
        b"string": lambda client, key: client.get(key),
        b"stream": lambda client, key: client.xrange(key),
        b"hash": lambda client, key: client.hgetall(key),
        b"list": lambda client, key: client.lrange(key, 0, -1),
        b"set": lambda client, key: client.smembers(key),
        b"zset": lambda client, key: client.zrange(key, 0, -1),
        # It went since it was listed.
        b"none": lambda client, key: b"",
    }
    with redis.Redis.from_url(uri) as client:
        keys: Any = list(client.scan_iter())
        return {key.decode(): _bytes(readers[client.type(key)](client, key)) for key in keys}


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else repr(value).encode()
