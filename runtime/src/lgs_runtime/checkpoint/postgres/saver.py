"""The checkpointer for PostgreSQL: LangGraph's whole contract, on the official tables, for many concurrent
runs.

Nothing locks the whole database, and no request has its own connection: writes and reads that arrive while
others are in progress are sent together. `aput` and `aput_writes` return when their data is committed. A read
sees every write that was submitted before it to its thread in this process.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Final

import asyncpg  # type: ignore[import-untyped]
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from lgs_runtime.checkpoint.grouped import Allowed, GroupedSaver, refuse_address
from lgs_runtime.checkpoint.postgres import row_encoding as encoding
from lgs_runtime.checkpoint.postgres import threads
from lgs_runtime.checkpoint.postgres.deltas import delta_history
from lgs_runtime.checkpoint.postgres.queries import list_query
from lgs_runtime.checkpoint.postgres.tables import Tables
from lgs_runtime.checkpoint.rows import Address, Rows
from lgs_runtime.database.group_commit import GroupCommitter
from lgs_runtime.database.postgres import PLANNED_ONCE, POOL_SIZE, Database
from lgs_runtime.database.postgres_access import probe, refused
from lgs_runtime.database.postgres_connections import Access
from lgs_runtime.database.postgres_pool import Pool, pool_of

COMMITS_AT_ONCE: Final = 3
READS_AT_ONCE: Final = 2
POOLED_CONNECTIONS: Final = 3
"""Most connections through a pooler, out of a replica's ten."""
PAGE: Final = 100
"""How many checkpoints of a listing are in memory at a time."""
PAGES_AT_ONCE: Final = 100
"""How many pages of a long listing are searched for at once. No index has the order of a listing over several
namespaces: a search reads the whole thread, but only its keys and, where they are a condition, metadata."""
READ_PATIENCE_SECONDS: Final = 0.2
"""How long a read is retried: long enough to find connections that a restart has cut, and open new ones."""


class FastPostgresSaver(GroupedSaver):
    """A saver on an asyncpg pool, for the event loop in which it is made. `from_conn_string` opens one.

    Stored values are decoded to the types that LangGraph allows and those in `allow`; of other types only the
    data is returned. If a `serde` is given, it decides instead.
    """

    keeps_versions: ClassVar = True
    """A value is stored with the first checkpoint that has it, and encoded only then."""

    def __init__(
        self,
        pool: asyncpg.Pool | Pool,
        *,
        serde: SerializerProtocol | None = None,
        allow: Allowed = (),
    ) -> None:
        """`allow`: types (or their module and name) that stored values may be decoded to; True allows all,
        for a database that only trusted programs write to. `pool`: has at least two connections, and connects
        directly to PostgreSQL; `from_conn_string` also connects through a pooler."""
        refuse_address(type(self).__name__, pool)
        self._database = Database(Access(""), pool_of(pool))
        self._tables = Tables(self._database)
        super().__init__(self._tables.write, at_once=COMMITS_AT_ONCE, serde=serde, allow=allow)
        self._reads: GroupCommitter[Address, Mapping[str, Any] | None] = GroupCommitter(
            self._tables.read, at_once=READS_AT_ONCE, patience_seconds=READ_PATIENCE_SECONDS
        )
        self._read_number = 0

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls,
        conn_string: str,
        *,
        connections: int = POOL_SIZE,
        serde: SerializerProtocol | None = None,
        allow: Allowed = (),
    ) -> AsyncIterator[FastPostgresSaver]:
        """A saver on a pool of at most `connections` (but at least two), with its tables set up, while the
        context is open. Raises `StorageUnavailable`, `ConfigError`."""
        access = await probe(conn_string)
        most = min(connections, POOLED_CONNECTIONS) if access.pooled else connections
        database = await Database.open(access, connections=max(2, most), settings=PLANNED_ONCE)
        try:
            saver = cls(database.pool, serde=serde, allow=allow)
            with refused(conn_string):
                await saver.setup()
            try:
                yield saver
            finally:
                await saver.aclose()
        finally:
            await database.close()

    async def setup(self) -> None:
        """Creates the tables or migrates them to the newest form. Safe at every start, and concurrently."""
        await self._tables.setup()

    async def aclose(self) -> None:
        """Completes the requests in progress, and accepts no more. The owner of the pool closes it."""
        await self._writes.close()
        await self._reads.close()

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints of a thread (or of all) whose metadata contains `filter`, newest first. Raises
        `StorageUnavailable`."""
        if config is not None:
            await self._writes.settled(str(config["configurable"]["thread_id"]))
        left = math.inf if limit is None else limit
        most = int(min(left, PAGE))
        statement, values = list_query(config, filter, before, most)
        rows = await self._database.rows(statement, *values)
        for row in rows:
            yield encoding.checkpoint_tuple(self.serde, row)
        left -= len(rows)
        while left > 0 and len(rows) == most:
            most = int(min(left, PAGE * PAGES_AT_ONCE))
            last = (rows[-1]["checkpoint_id"], rows[-1]["thread_id"], rows[-1]["checkpoint_ns"])
            statement, values = list_query(config, filter, before, most, keys_after=last)
            rows = await self._database.rows(statement, *values)
            left -= len(rows)
            for first in range(0, len(rows), PAGE):
                page = [tuple(row.values()) for row in rows[first : first + PAGE]]
                for found in await self._tables.read(page):
                    if found is not None:  # It may have been deleted meanwhile.
                        yield encoding.checkpoint_tuple(self.serde, found)

    async def _read(self, address: Address) -> CheckpointTuple | None:
        # Each read has its own key, so that reads don't wait for each other.
        self._read_number += 1
        row = await self._reads.submit(str(self._read_number), address)
        return None if row is None else encoding.checkpoint_tuple(self.serde, row)

    async def _delta_history(
        self, address: Address, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        return await delta_history(self._database, self.serde, address, channels)

    def _encoded(self, checkpoint: Checkpoint, new_versions: ChannelVersions) -> Sequence[Any]:
        values = checkpoint["channel_values"]
        return [values[channel] for channel in new_versions if channel in values]

    def _checkpoint_rows(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Rows:
        return encoding.checkpoint_rows(self.serde, config, checkpoint, metadata, new_versions)

    async def _delete_threads(self, thread_ids: Sequence[str]) -> None:
        await threads.delete_threads(self._database, thread_ids)

    async def _delete_runs(self, thread_id: str | None, run_ids: Sequence[str]) -> None:
        await threads.delete_runs(self._database, thread_id, run_ids)

    async def _copy_thread(self, source: str, target: str) -> None:
        await threads.copy_thread(self._database, source, target)

    async def _keep_latest(self, thread_id: str) -> None:
        await threads.keep_latest(self._database, thread_id)
