"""The checkpointer for PostgreSQL: LangGraph's whole contract, on the official tables, for many runs at once.

Nothing holds a lock over the database, and no request has a connection to itself: writes and reads that
gather while others are under way go out together. `aput` and `aput_writes` return when what they store is
committed. A read sees every write that was submitted to its thread before it, in this process.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, ClassVar, Final, Literal

import asyncpg  # type: ignore[import-untyped]
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_id,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from lgs_runtime.checkpoint.blocking import BlockingSaver
from lgs_runtime.checkpoint.postgres import encoding, threads
from lgs_runtime.checkpoint.postgres.deltas import delta_history
from lgs_runtime.checkpoint.postgres.encoding import Rows
from lgs_runtime.checkpoint.postgres.queries import list_query
from lgs_runtime.checkpoint.postgres.tables import Address, Tables
from lgs_runtime.checkpoint.weight import is_heavy
from lgs_runtime.storage.gathering import Gatherer
from lgs_runtime.storage.postgres.database import PLANNED_ONCE, POOL_SIZE, Database

COMMITS_AT_ONCE: Final = 3
READS_AT_ONCE: Final = 2
COMMIT_PATIENCE_SECONDS: Final = 10.0
"""For so long a commit is tried again while the database is away."""
READ_PATIENCE_SECONDS: Final = 0.2
"""Long enough to meet the connections that a restart has cut, and to open new ones."""

Allowed = Literal[True] | Collection[tuple[str, ...] | type]


class FastPostgresSaver(BlockingSaver):
    """A saver on a pool of asyncpg, for the event loop in which it is made. `from_conn_string` opens one.

    Values come back as the types that LangGraph allows and those in `allow`; of others only their data. With
    a `serde` of one's own, that decides.
    """

    keeps_versions: ClassVar = True
    """A value is stored with the first checkpoint that has it, and only then looked at."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        serde: SerializerProtocol | None = None,
        allow: Allowed = (),
    ) -> None:
        """`allow`: types (or their module and name) that may be made from stored values; True allows all,
        for a database that only trusted programs write to."""
        super().__init__(serde=serde or strict_serializer(allow))
        self._database = Database("", pool)
        self._tables = Tables(self._database)
        self._writes: Gatherer[Rows, None] = Gatherer(
            self._tables.write, at_once=COMMITS_AT_ONCE, patience_seconds=COMMIT_PATIENCE_SECONDS
        )
        self._reads: Gatherer[Address, Mapping[str, Any] | None] = Gatherer(
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
        """A saver on a pool of at most `connections`, with its tables set up, while the context is open.
        Raises `StorageUnavailable`, `ConfigError`."""
        database = await Database.open(conn_string, connections=connections, settings=PLANNED_ONCE)
        try:
            saver = cls(database.pool, serde=serde, allow=allow)
            await saver.setup()
            try:
                yield saver
            finally:
                await saver.aclose()
        finally:
            await database.close()

    async def setup(self) -> None:
        """Makes the tables, or brings them to the newest form. Safe to call at every start, by many at
        once."""
        await self._tables.setup()

    async def aclose(self) -> None:
        """Ends what is under way, and takes nothing more. The pool is its owner's to close."""
        await self._writes.close()
        await self._reads.close()

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that `config` names, or the latest of its thread and namespace. Raises
        `StorageUnavailable`."""
        configurable = config["configurable"]
        thread_id = str(configurable["thread_id"])
        await self._writes.settled(thread_id)
        # Reads don't wait for each other: each has a lane of its own.
        self._read_number += 1
        address = (thread_id, configurable.get("checkpoint_ns", ""), get_checkpoint_id(config) or None)
        row = await self._reads.submit(str(self._read_number), address)
        if row is None:
            return None
        return encoding.checkpoint_tuple(self.serde, row)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints of a thread (or of all), newest first. `filter` is contained in their metadata.
        Raises `StorageUnavailable`."""
        if config is not None:
            await self._writes.settled(str(config["configurable"]["thread_id"]))
        statement, values = list_query(config, filter, before, limit)
        for row in await self._database.rows(statement, *values):
            yield encoding.checkpoint_tuple(self.serde, row)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Stores a checkpoint and returns its address when it is committed. Raises `StorageUnavailable`."""
        await self.put_behind(config, checkpoint, metadata, new_versions)
        return encoding.next_config(config, checkpoint)

    def put_behind(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
        after: asyncio.Future[Any] | None = None,
    ) -> asyncio.Future[None]:
        """As `aput`, without waiting: the future ends when it is committed. Where `after`, the future of a
        checkpoint of the thread before, has failed, so does this: its values may be among those that were
        not stored."""
        values = checkpoint["channel_values"]
        new = [values[channel] for channel in new_versions if channel in values]
        return self._store(
            config,
            is_heavy(new),
            lambda: encoding.checkpoint_rows(self.serde, config, checkpoint, metadata, new_versions),
            after,
        )

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Stores what a task wrote and returns when it is committed. Raises `StorageUnavailable`."""
        await self.put_writes_behind(config, writes, task_id, task_path)

    def put_writes_behind(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> asyncio.Future[None]:
        """As `aput_writes`, without waiting: the future ends when it is committed."""
        return self._store(
            config,
            is_heavy(writes),
            lambda: encoding.write_rows(self.serde, config, writes, task_id, task_path),
        )

    def _store(
        self,
        config: RunnableConfig,
        heavy: bool,
        encode: Callable[[], Rows],
        after: asyncio.Future[Any] | None = None,
    ) -> asyncio.Future[None]:
        """Small values are encoded at once, which takes less time than asking a thread to; heavy ones in a
        thread, so that the loop goes on meanwhile."""
        thread_id = str(config["configurable"]["thread_id"])
        if heavy:

            async def prepare() -> tuple[Rows, int]:
                rows = await asyncio.to_thread(encode)
                return rows, rows.size

            return self._writes.submit_later(thread_id, prepare, after)
        rows = encode()
        return self._writes.submit(thread_id, rows, rows.size, after)

    async def adelete_thread(self, thread_id: str) -> None:
        """Deletes all checkpoints of a thread."""
        await self._delete_threads([str(thread_id)])

    async def _delete_threads(self, thread_ids: Sequence[str]) -> None:
        """Deletes all checkpoints of threads, whose ids are in order: of two that delete some of the same,
        the second waits, and neither for the other."""
        async with AsyncExitStack() as turns:
            for thread_id in thread_ids:
                await turns.enter_async_context(self._writes.alone(thread_id))
            await threads.delete_threads(self._database, thread_ids)

    async def adelete_run(self, thread_id: str | None, run_ids: Sequence[str]) -> None:
        """Deletes the checkpoints that runs made (found by `run_id` in their metadata), and what only they
        needed."""
        if thread_id is None:
            await threads.delete_runs(self._database, None, run_ids)
            return
        async with self._writes.alone(thread_id):
            await threads.delete_runs(self._database, thread_id, run_ids)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `adelete_run`, in every thread."""
        await self.adelete_run(None, run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copies all checkpoints of a thread to another."""
        await self._writes.settled(str(source_thread_id))
        async with self._writes.alone(str(target_thread_id)):
            await threads.copy_thread(self._database, str(source_thread_id), str(target_thread_id))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Deletes all checkpoints of threads (`delete`), or all but the latest of each namespace and what it
        is built from (`keep_latest`; see `threads.keep_latest`). Raises `NotImplementedError` for a thread
        with delta channels of LangGraph.js."""
        if isinstance(thread_ids, str):
            raise TypeError(f"thread_ids: {thread_ids!r}: must be a sequence of ids")
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"strategy: {strategy!r}: must be keep_latest or delete")
        if strategy == "delete":
            await self._delete_threads(sorted({str(thread_id) for thread_id in thread_ids}))
            return
        for thread_id in map(str, thread_ids):
            async with self._writes.alone(thread_id):
                await threads.keep_latest(self._database, thread_id)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What delta channels are built from, seen from a checkpoint, in one statement."""
        configurable = config["configurable"]
        thread_id, namespace = str(configurable["thread_id"]), configurable.get("checkpoint_ns", "")
        checkpoint_id = get_checkpoint_id(config)
        if not checkpoint_id:
            latest = await self.aget_tuple(config)
            if latest is None:
                return {channel: {"writes": []} for channel in channels}
            checkpoint_id = latest.config["configurable"]["checkpoint_id"]
        await self._writes.settled(thread_id)
        address = (thread_id, namespace, str(checkpoint_id))
        return await delta_history(self._database, self.serde, address, channels)

    def get_next_version(self, current: str | None, channel: None) -> str:
        """A version after `current`, of the form that the official saver gives."""
        number = int(str(current).split(".", 1)[0]) if current is not None else 0
        return f"{number + 1:032}.{random.random():016}"


def strict_serializer(allow: Allowed = ()) -> JsonPlusSerializer:
    """LangGraph's serialiser that makes only known types from what is stored, and those in `allow`."""
    return JsonPlusSerializer(allowed_msgpack_modules=allow if allow is True else [*allow] or None)
