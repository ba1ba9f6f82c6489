"""The checkpointer for SQLite: LangGraph's whole contract, on the official tables, for many concurrent runs.

Calls that arrive during a transaction are stored together in the next one: one hand-over to the writing
thread and one commit, which is on the disk before any of them returns. Reads have their own thread and
connection. Several processes may share the file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

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
from lgs_runtime.checkpoint.rows import Address, Rows
from lgs_runtime.checkpoint.sqlite import row_encoding as encoding
from lgs_runtime.checkpoint.sqlite import statements, tables
from lgs_runtime.checkpoint.sqlite.queries import list_condition
from lgs_runtime.database.addresses import address, masked
from lgs_runtime.database.json_columns import dump
from lgs_runtime.database.sqlite import Database
from lgs_runtime.errors import ConfigError

MEMORY: Final = ":memory:"
PAGE: Final = 32
"""How many checkpoints of a listing are in memory at a time."""


class FastSqliteSaver(GroupedSaver):
    """A saver in a SQLite file, for the event loop in which it is made. `from_conn_string` opens one.

    Stored values are decoded to the types that LangGraph allows and those in `allow`; of other types only the
    data is returned. If a `serde` is given, it decides instead.
    """

    def __init__(
        self, database: Database, *, serde: SerializerProtocol | None = None, allow: Allowed = ()
    ) -> None:
        """`database`: has the tables already, and is closed by its owner. `allow`: types (or their module and
        name) that stored values may be decoded to; True allows all, for a file that only trusted programs
        write to."""
        refuse_address(type(self).__name__, database)
        # A file has one writer: a second group would wait for the first.
        super().__init__(self._write, at_once=1, serde=serde, allow=allow)
        self._database = database

    @classmethod
    @asynccontextmanager
    async def from_conn_string(
        cls, conn_string: str | Path, *, serde: SerializerProtocol | None = None, allow: Allowed = ()
    ) -> AsyncIterator[FastSqliteSaver]:
        """A saver on the file of a path, or of `sqlite:///path`, while the context is open. The file is
        created if it does not exist. Raises `ConfigError`, `StorageUnavailable`."""
        database = await Database.open(_file_of(conn_string), tables.set_up)
        try:
            saver = cls(database, serde=serde, allow=allow)
            try:
                yield saver
            finally:
                await saver.aclose()
        finally:
            await database.close()

    async def aclose(self) -> None:
        """Completes the writes in progress, and accepts no more."""
        await self._writes.close()

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
        where, values = list_condition(config, filter, before)
        found = await self._database.read(lambda connection: tables.keys(connection, where, values, limit))
        for first in range(0, len(found), PAGE):
            page = partial(tables.read_all, addresses=found[first : first + PAGE])
            for stored in await self._database.read(page):
                yield encoding.checkpoint_tuple(self.serde, stored)

    async def _read(self, address: Address) -> CheckpointTuple | None:
        stored = await self._database.read(lambda connection: tables.read(connection, address))
        return None if stored is None else encoding.checkpoint_tuple(self.serde, stored)

    async def _delta_history(
        self, address: Address, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        return await self._database.read(lambda c: tables.delta_history(c, self.serde, address, channels))

    async def _write(self, works: Sequence[Rows]) -> Sequence[None]:
        await self._database.write(lambda connection: tables.write(connection, works))
        return [None] * len(works)

    async def _change(self, changes: Sequence[str], **values: str | None) -> None:
        await self._database.write(lambda connection: tables.change(connection, changes, values))

    def _encoded(self, checkpoint: Checkpoint, new_versions: ChannelVersions) -> Sequence[Any]:
        return list(checkpoint["channel_values"].values())

    def _checkpoint_rows(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Rows:
        return encoding.checkpoint_rows(self.serde, config, checkpoint, metadata)

    async def _delete_threads(self, thread_ids: Sequence[str]) -> None:
        await self._change(statements.DELETE_THREADS, threads=dump(list(thread_ids)))

    async def _delete_runs(self, thread_id: str | None, run_ids: Sequence[str]) -> None:
        for run_id in run_ids:
            await self._change(statements.DELETE_RUN, run=run_id, thread=thread_id)

    async def _copy_thread(self, source: str, target: str) -> None:
        await self._change(statements.COPY_THREAD, source=source, target=target)

    async def _keep_latest(self, thread_id: str) -> None:
        """Does not check whether a graph with a `DeltaChannel` needs the others: the caller must know."""
        await self._change(statements.KEEP_LATEST, thread=thread_id)


def _file_of(conn_string: str | Path) -> Path:
    """The path of the file. Raises `ConfigError`, also for a URI of another database, which would create
    folders if it were taken for a path."""
    text = str(conn_string)
    if text in ("", MEMORY):
        raise ConfigError(f"conn_string: {text!r}: must name a file, whose readers are others")
    if isinstance(conn_string, Path) or "://" not in text:
        return Path(text)
    path = address(text, "conn_string").path
    if path is None:
        raise ConfigError(f"conn_string: {masked(text)}: must name a file; FastPostgresSaver takes it")
    return path
