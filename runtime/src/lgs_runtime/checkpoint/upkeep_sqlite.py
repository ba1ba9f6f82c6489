"""Upkeep of checkpoints in SQLite, on the tables of langgraph-checkpoint-sqlite."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

from lgs_runtime.checkpoint.upkeep import Amount, StorageUse
from lgs_runtime.database.sqlite import connect, transaction, translated

_Result = TypeVar("_Result")

CHECKPOINTS: Final = """
SELECT count(*), coalesce(sum(length(CAST(checkpoint AS BLOB)) + length(CAST(metadata AS BLOB))), 0)
FROM checkpoints WHERE thread_id = :thread
"""

PENDING_WRITES: Final = """
SELECT count(*), coalesce(sum(length(CAST(value AS BLOB))), 0) FROM writes WHERE thread_id = :thread
"""

NAMESPACES: Final = """
SELECT DISTINCT checkpoint_ns FROM checkpoints WHERE thread_id = :thread ORDER BY checkpoint_ns
"""

CLEAR: Final = "DELETE FROM {table} WHERE thread_id = :thread"

ADOPT: Final = "UPDATE {table} SET thread_id = :thread WHERE thread_id = :source"

_ROOT: Final = """
CASE WHEN {c}.checkpoint_ns = '' THEN {c}.checkpoint_id
     ELSE coalesce(json_extract(CAST({c}.metadata AS TEXT), '$.parents.""'), '') END
"""

# A namespace that ends in the id of a task is used once; any other belongs to a subgraph that keeps its
# state.
_OLD: Final = f"""
    SELECT checkpoint_ns, checkpoint_id FROM checkpoints c
    WHERE thread_id = :thread AND {_ROOT.format(c="c")} < :floor
      AND (checkpoint_ns = '' OR lgs_of_a_task(checkpoint_ns) OR EXISTS (
          SELECT 1 FROM checkpoints later
          WHERE later.thread_id = :thread AND later.checkpoint_ns = c.checkpoint_ns
            AND later.checkpoint_id > c.checkpoint_id AND {_ROOT.format(c="later")} < :floor))
"""

PRUNE_WRITES: Final = f"""
DELETE FROM writes WHERE thread_id = :thread AND (checkpoint_ns, checkpoint_id) IN ({_OLD})
"""

PRUNE_CHECKPOINTS: Final = f"""
DELETE FROM checkpoints WHERE thread_id = :thread AND (checkpoint_ns, checkpoint_id) IN ({_OLD})
"""


class SqliteUpkeep:
    """The `Upkeep` of the checkpoint file, which lies beside the queue's file (`path`)."""

    def __init__(self, path: Path) -> None:
        self._path = Path(f"{path}-checkpoints")

    async def use(self, thread_id: str) -> StorageUse:
        named = {"thread": thread_id}

        def work(connection: sqlite3.Connection) -> StorageUse:
            checkpoints = connection.execute(CHECKPOINTS, named).fetchone()
            return StorageUse(
                Amount(*checkpoints), Amount(*connection.execute(PENDING_WRITES, named).fetchone())
            )

        return await asyncio.to_thread(self._run, work)

    async def prune(self, thread_id: str, floor: str) -> int:
        named = {"thread": thread_id, "floor": floor}

        def work(connection: sqlite3.Connection) -> int:
            connection.execute(PRUNE_WRITES, named)
            return connection.execute(PRUNE_CHECKPOINTS, named).rowcount

        return await asyncio.to_thread(self._run, work)

    async def namespaces(self, thread_id: str) -> Sequence[str]:
        named = {"thread": thread_id}
        return await asyncio.to_thread(
            self._run, lambda c: [row[0] for row in c.execute(NAMESPACES, named).fetchall()]
        )

    async def adopt(self, source: str, thread_id: str) -> None:
        named = {"source": source, "thread": thread_id}

        def work(connection: sqlite3.Connection) -> None:
            for table in ("checkpoints", "writes"):
                connection.execute(CLEAR.format(table=table), named)
                connection.execute(ADOPT.format(table=table), named)

        await asyncio.to_thread(self._run, work)

    def _run(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        with translated(self._path), closing(connect(self._path)) as connection:
            connection.create_function("lgs_of_a_task", 1, _of_a_task, deterministic=True)
            with transaction(connection):
                return work(connection)


def _of_a_task(namespace: str) -> bool:
    return ":" in namespace.rpartition("|")[2]
