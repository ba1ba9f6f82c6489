"""LangGraph's SQLite store, in its own file beside the queue's, for several processes."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

import aiosqlite
from langgraph.store.base import Op, PutOp, Result, TTLConfig
from langgraph.store.sqlite.aio import AsyncSqliteStore
from langgraph.store.sqlite.base import SqliteIndexConfig

from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.store.batches import IsolatedBatchStore
from lgs_runtime.store.filters import MATCHES, Condition, matches_texts, sqlite_condition
from lgs_runtime.store.options import Index, check_dimensions
from lgs_runtime.store.values import decoded, encoded
from lgs_runtime.store.vectors import FLOAT_BYTES, VectorConnection

BUSY_SECONDS: Final = 30.0

_STORED_BYTES: Final = "SELECT length(embedding) FROM store_vectors LIMIT 1"
_ANY_EXPIRED: Final = "SELECT 1 FROM store WHERE expires_at < CURRENT_TIMESTAMP LIMIT 1"
_PUT: Final = "INSERT OR REPLACE INTO store ("
_KEEP: Final = """
ON CONFLICT (prefix, key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at,
    expires_at = excluded.expires_at, ttl_minutes = excluded.ttl_minutes
"""
_NOW: Final = "strftime('%Y-%m-%d %H:%M:%f', 'now')"


def _kept(text: str) -> str:
    """LangGraph's statement that puts items, changed to act like the one for PostgreSQL: an existing item
    keeps its creation time, and of two items put within one second the later is the newer."""
    if _PUT not in text:
        return text
    return text.replace(_PUT, "INSERT INTO store (").replace("CURRENT_TIMESTAMP", _NOW) + _KEEP


class SqliteStore(IsolatedBatchStore, AsyncSqliteStore):
    """The official store, which never returns expired items."""

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Reads and writes, as LangGraph's contract says."""
        async with self._cursor(transaction=False) as cursor:
            await cursor.execute(_ANY_EXPIRED)
            expired = await cursor.fetchone()
        if expired is not None:
            await self.sweep_ttl()
        return [decoded(result) for result in await super().abatch([encoded(op) for op in ops])]

    def _get_filter_condition(self, key: str, op: str, value: Any) -> Condition:
        """The condition for the whole filter, which `encoded` wrapped into one value."""
        return sqlite_condition(value)

    def _prepare_batch_PUT_queries(self, put_ops: Sequence[tuple[int, PutOp]]) -> Any:
        queries, embedded = super()._prepare_batch_PUT_queries(put_ops)
        return [(_kept(text), given) for text, given in queries], embedded

    @asynccontextmanager
    async def _cursor(self, *, transaction: bool = True) -> AsyncIterator[aiosqlite.Cursor]:
        failed: StorageUnavailable | None = None
        try:
            async with super()._cursor(transaction=transaction) as cursor:
                try:
                    yield cursor
                except StorageUnavailable as unavailable:
                    failed = unavailable
                    raise
        except BaseException:
            # After a failed commit the transaction is still open, and no other could begin; after a full disk
            # it has ended, so there is nothing to commit.
            if self.conn.in_transaction:
                await self.conn.rollback()
            if failed is not None:
                raise failed from failed.__cause__
            raise


@asynccontextmanager
async def sqlite_store(
    path: Path, *, index: Index | None = None, ttl: TTLConfig | None = None
) -> AsyncIterator[AsyncSqliteStore]:
    """A store in the file `path` with `-store` added. Raises `ConfigError`."""
    file = Path(f"{path}-store")
    await asyncio.to_thread(file.parent.mkdir, parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(
            VectorConnection(file, timeout=BUSY_SECONDS, isolation_level=None)
        )
        async with _turn(file):
            await connection.execute("PRAGMA journal_mode=WAL")
            await connection.create_function(MATCHES, 2, matches_texts, deterministic=True)
            given = cast(SqliteIndexConfig, index.config()) if index else None
            store = SqliteStore(connection, index=given, ttl=ttl)
            await stack.enter_async_context(aclosing(store))
            await store.setup()
            if index is not None:
                found = await (await connection.execute(_STORED_BYTES)).fetchone()
                check_dimensions(index, found[0] // FLOAT_BYTES if found else None)
        yield store


@asynccontextmanager
async def _turn(file: Path) -> AsyncIterator[None]:
    """Holds a lock file beside the database: SQLite does not wait when two processes turn on WAL at once."""
    lock = await asyncio.to_thread(_locked, Path(f"{file}.lock"))
    try:
        yield
    finally:
        os.close(lock)


def _locked(path: Path) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock
