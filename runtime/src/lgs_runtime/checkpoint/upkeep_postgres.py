"""Upkeep of checkpoints in PostgreSQL, on the tables of langgraph-checkpoint-postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.checkpoint.upkeep import Amount, StorageUse
from lgs_runtime.database.postgres_access import probe
from lgs_runtime.database.postgres_connections import Access, connect, translated
from lgs_runtime.errors import StorageUnavailable

CHECKPOINTS: Final = """
SELECT count(*) AS count, coalesce(sum(pg_column_size(checkpoint) + pg_column_size(metadata)), 0) AS bytes
FROM checkpoints WHERE thread_id = $1
"""

PENDING_WRITES: Final = """
SELECT count(*) AS count, coalesce(sum(pg_column_size(blob)), 0) AS bytes
FROM checkpoint_writes WHERE thread_id = $1
"""

CHANNELS: Final = """
SELECT channel, count(*) AS count, coalesce(sum(pg_column_size(blob)), 0) AS bytes
FROM checkpoint_blobs WHERE thread_id = $1 GROUP BY channel ORDER BY channel
"""

NAMESPACES: Final = """
SELECT DISTINCT checkpoint_ns FROM checkpoints WHERE thread_id = $1 ORDER BY checkpoint_ns
"""

CLEAR: Final = "DELETE FROM {table} WHERE thread_id = $1"

ADOPT: Final = "UPDATE {table} SET thread_id = $2 WHERE thread_id = $1"

_OLD: Final = """
old AS (
    SELECT checkpoint_ns, checkpoint_id FROM checkpoints c
    WHERE thread_id = $1
      AND CASE WHEN checkpoint_ns = '' THEN checkpoint_id ELSE coalesce(metadata -> 'parents' ->> '', '') END
          COLLATE "C" < $2
      AND (checkpoint_ns = '' OR checkpoint_ns ~ ':[^|]*$' OR EXISTS (
          SELECT FROM checkpoints later
          WHERE later.thread_id = $1 AND later.checkpoint_ns = c.checkpoint_ns
            AND later.checkpoint_id > c.checkpoint_id
            AND coalesce(later.metadata -> 'parents' ->> '', '') COLLATE "C" < $2))
)
"""
"""Checkpoints older than the floor. A subgraph's checkpoint belongs to the root checkpoint that its metadata
names. A namespace that ends in the id of a task is used once; any other belongs to a subgraph that keeps its
state."""

# Deletes only values that an old checkpoint names, and so none that was just stored ahead of its checkpoint.
PRUNE_VALUES: Final = f"""
WITH {_OLD}, named AS MATERIALIZED (
    SELECT checkpoint_ns, v.key AS channel, v.value AS version, bool_and(o.checkpoint_id IS NOT NULL) AS dead
    FROM checkpoints c LEFT JOIN old o USING (checkpoint_ns, checkpoint_id)
    CROSS JOIN LATERAL jsonb_each_text(c.checkpoint -> 'channel_versions') v
    WHERE c.thread_id = $1 GROUP BY 1, 2, 3
)
DELETE FROM checkpoint_blobs b USING named n
WHERE b.thread_id = $1 AND n.dead AND b.checkpoint_ns = n.checkpoint_ns AND b.channel = n.channel
  AND b.version = n.version
"""

PRUNE_WRITES: Final = f"""
WITH {_OLD}
DELETE FROM checkpoint_writes w USING old
WHERE w.thread_id = $1 AND w.checkpoint_ns = old.checkpoint_ns AND w.checkpoint_id = old.checkpoint_id
"""

PRUNE_CHECKPOINTS: Final = f"""
WITH {_OLD}, gone AS (
    DELETE FROM checkpoints c USING old
    WHERE c.thread_id = $1 AND c.checkpoint_ns = old.checkpoint_ns AND c.checkpoint_id = old.checkpoint_id
    RETURNING 1
)
SELECT count(*) FROM gone
"""


class PostgresUpkeep:
    """The `Upkeep` of a PostgreSQL database."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._access: Access | None = None

    async def use(self, thread_id: str) -> StorageUse:
        async with self._connection() as connection:
            checkpoints = await connection.fetchrow(CHECKPOINTS, thread_id)
            writes = await connection.fetchrow(PENDING_WRITES, thread_id)
            channels = await connection.fetch(CHANNELS, thread_id)
        return StorageUse(
            _amount(checkpoints), _amount(writes), {row["channel"]: _amount(row) for row in channels}
        )

    async def prune(self, thread_id: str, floor: str) -> int:
        """In one transaction; the checkpoints are deleted last, as they determine what else is deleted."""
        async with self._connection() as connection, connection.transaction():
            await connection.execute(PRUNE_VALUES, thread_id, floor)
            await connection.execute(PRUNE_WRITES, thread_id, floor)
            pruned: int = await connection.fetchval(PRUNE_CHECKPOINTS, thread_id, floor)
            return pruned

    async def namespaces(self, thread_id: str) -> Sequence[str]:
        async with self._connection() as connection:
            return [row["checkpoint_ns"] for row in await connection.fetch(NAMESPACES, thread_id)]

    async def adopt(self, source: str, thread_id: str) -> None:
        """In one transaction."""
        async with self._connection() as connection, connection.transaction():
            for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes"):
                await connection.execute(CLEAR.format(table=table), thread_id)
                await connection.execute(ADOPT.format(table=table), source, thread_id)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        self._access = self._access or await probe(self._uri)
        try:
            connection = await connect(self._access)
        except StorageUnavailable:
            # Tried once more, like a statement on a pool: a replica that stood still for longer than a
            # connection may take gets a time-out here, when a client may have half of an archive already.
            connection = await connect(self._access)
        try:
            with translated():
                yield connection
        finally:
            await connection.close()


def _amount(row: asyncpg.Record) -> Amount:
    return Amount(row["count"], int(row["bytes"]))
