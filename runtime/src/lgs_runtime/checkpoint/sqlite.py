"""LangGraph's SQLite saver and store, each in a file of its own beside the queue's, for several processes."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, cast

import aiosqlite
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.store.base import Op, Result, TTLConfig
from langgraph.store.sqlite.aio import AsyncSqliteStore
from langgraph.store.sqlite.base import SqliteIndexConfig

from lgs_runtime.checkpoint.store_options import Index, check_dimensions
from lgs_runtime.checkpoint.vectors import FLOAT_BYTES, VectorConnection

BUSY_SECONDS: Final = 30.0

_OF_RUN: Final = """
    SELECT thread_id, checkpoint_ns, checkpoint_id FROM checkpoints
    WHERE json_extract(CAST(metadata AS TEXT), '$.run_id') = :run AND (:thread IS NULL OR thread_id = :thread)
"""
_DELETE_RUN: Final = (
    f"DELETE FROM writes WHERE (thread_id, checkpoint_ns, checkpoint_id) IN ({_OF_RUN})",
    f"DELETE FROM checkpoints WHERE (thread_id, checkpoint_ns, checkpoint_id) IN ({_OF_RUN})",
)
_OLD: Final = """
    SELECT thread_id, checkpoint_ns, checkpoint_id FROM checkpoints c
    WHERE thread_id = :thread AND (checkpoint_id < (
        SELECT max(l.checkpoint_id) FROM checkpoints l
        WHERE l.thread_id = c.thread_id AND l.checkpoint_ns = c.checkpoint_ns)
      OR (checkpoint_ns GLOB '*:*' AND EXISTS (
        SELECT 1 FROM checkpoints r JOIN checkpoints later USING (thread_id, checkpoint_ns)
        WHERE r.thread_id = c.thread_id AND r.checkpoint_ns = '' AND later.checkpoint_id > r.checkpoint_id
          AND r.checkpoint_id = json_extract(CAST(c.metadata AS TEXT), '$.parents.""'))))
"""
"""A namespace with the id of a task is that of a subgraph's call, which goes with the checkpoint of the root
that it was made from."""
_KEEP_LATEST: Final = (
    f"DELETE FROM writes WHERE (thread_id, checkpoint_ns, checkpoint_id) IN ({_OLD})",
    f"DELETE FROM checkpoints WHERE (thread_id, checkpoint_ns, checkpoint_id) IN ({_OLD})",
)
_COPY_THREAD: Final = (
    """
    INSERT OR IGNORE INTO checkpoints
        (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata)
    SELECT :target, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata
    FROM checkpoints WHERE thread_id = :source
    """,
    """
    INSERT OR IGNORE INTO writes
        (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value)
    SELECT :target, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, value
    FROM writes WHERE thread_id = :source
    """,
)


_STORED_BYTES: Final = "SELECT length(embedding) FROM store_vectors LIMIT 1"
_ANY_EXPIRED: Final = "SELECT 1 FROM store WHERE expires_at < CURRENT_TIMESTAMP LIMIT 1"


class SqliteSaver(AsyncSqliteSaver):
    """The official saver, with what it lacks: deleting a run's checkpoints and copying a thread's."""

    async def adelete_run(self, thread_id: str | None, run_ids: Sequence[str]) -> None:
        """Deletes the checkpoints that runs made (found by `run_id` in their metadata)."""
        for run_id in run_ids:
            await self._together(_DELETE_RUN, {"run": run_id, "thread": thread_id})

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `adelete_run`, in every thread."""
        await self.adelete_run(None, run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copies all checkpoints of a thread to another."""
        await self._together(_COPY_THREAD, {"source": source_thread_id, "target": target_thread_id})

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Deletes all checkpoints of threads (`delete`), or all but the latest of each namespace
        (`keep_latest`); calls of subgraphs go with the checkpoint that they were made from. That a graph with
        a `DeltaChannel` needs the others is for the caller to know."""
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"strategy: {strategy!r}: must be keep_latest or delete")
        for thread_id in thread_ids:
            if strategy == "delete":
                await self.adelete_thread(thread_id)
            else:
                await self._together(_KEEP_LATEST, {"thread": thread_id})

    async def _together(self, statements: Sequence[str], values: dict[str, str | None]) -> None:
        await self.setup()
        async with self.lock:
            try:
                for statement in statements:
                    await self.conn.execute(statement, values)
            except BaseException:
                await self.conn.rollback()
                raise
            await self.conn.commit()


class SqliteStore(AsyncSqliteStore):
    """The official store, from which nothing is read whose time has passed."""

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Reads and writes, as LangGraph's contract says."""
        async with self._cursor(transaction=False) as cursor:
            await cursor.execute(_ANY_EXPIRED)
            expired = await cursor.fetchone()
        if expired is not None:
            await self.sweep_ttl()
        return await super().abatch(ops)


@asynccontextmanager
async def sqlite_checkpointer(
    path: Path, *, serde: SerializerProtocol | None = None
) -> AsyncIterator[SqliteSaver]:
    """A saver in the file `path` with `-checkpoints` added."""
    file = await _file(path, "-checkpoints")
    async with aiosqlite.connect(file, timeout=BUSY_SECONDS) as connection:
        saver = SqliteSaver(connection, serde=serde)
        async with _turn(file):
            await saver.setup()
        yield saver


@asynccontextmanager
async def sqlite_store(
    path: Path, *, index: Index | None = None, ttl: TTLConfig | None = None
) -> AsyncIterator[AsyncSqliteStore]:
    """A store in the file `path` with `-store` added. Raises `ConfigError`."""
    file = await _file(path, "-store")
    async with VectorConnection(file, timeout=BUSY_SECONDS, isolation_level=None) as connection:
        async with _turn(file):
            await connection.execute("PRAGMA journal_mode=WAL")
            given = cast(SqliteIndexConfig, index.config()) if index else None
            store = SqliteStore(connection, index=given, ttl=ttl)
            await store.setup()
            if index is not None:
                found = await (await connection.execute(_STORED_BYTES)).fetchone()
                check_dimensions(index, found[0] // FLOAT_BYTES if found else None)
        async with store:
            yield store


async def _file(path: Path, suffix: str) -> Path:
    file = Path(f"{path}{suffix}")
    await asyncio.to_thread(file.parent.mkdir, parents=True, exist_ok=True)
    return file


@asynccontextmanager
async def _turn(file: Path) -> AsyncIterator[None]:
    """Holds a lock beside the file: SQLite doesn't wait when two processes turn WAL on at once."""
    lock = await asyncio.to_thread(_locked, Path(f"{file}.lock"))
    try:
        yield
    finally:
        os.close(lock)


def _locked(path: Path) -> int:
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock
