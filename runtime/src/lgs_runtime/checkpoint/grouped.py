"""Base of the savers of both databases: calls are committed in groups, and each thread keeps its order.

`aput` and `aput_writes` return when their data is committed. An operation on a whole thread has exclusive
access to the thread meanwhile. Nothing holds a lock between requests.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import PurePath
from typing import Any, Final, Literal

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from lgs_runtime.checkpoint.blocking import BlockingSaver
from lgs_runtime.checkpoint.configs import check_names, checkpoint_config, namespace_of
from lgs_runtime.checkpoint.rows import Address, Rows, address_of, write_rows
from lgs_runtime.checkpoint.serializer import Serializer
from lgs_runtime.checkpoint.weight import is_heavy
from lgs_runtime.checkpoint.wrappers.write_behind import WriteBehindSaver
from lgs_runtime.database.group_commit import GroupCommitter

COMMIT_PATIENCE_SECONDS: Final = 10.0
"""How long a commit is retried while the database can't be reached."""

Allowed = Literal[True] | Collection[tuple[str, ...] | type]


def refuse_address(saver: str, given: object) -> None:
    """Raises `TypeError` if a saver is given the address of a database instead of an open one. The message
    does not show the address, as it may contain a password."""
    if isinstance(given, str | PurePath):
        rule = f"must be an open database; `async with {saver}.from_conn_string(…) as saver:` opens one"
        raise TypeError(f"{saver}: the address of a database: {rule}")


def refuse_without_loop(saver: str) -> None:
    """Raises `RuntimeError` if no event loop is running: a saver needs one for its commits."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        rule = "must be made in the event loop that uses it, such as that of `asyncio.run`"
        raise RuntimeError(f"{saver}: no event loop runs here: {rule}") from None


class GroupedSaver(BlockingSaver, WriteBehindSaver):
    """A saver with group commit. A subclass reads, encodes checkpoints as rows, and implements the operations
    on whole threads."""

    def __init__(
        self,
        store: Callable[[Sequence[Rows]], Awaitable[Sequence[None]]],
        *,
        at_once: int,
        serde: SerializerProtocol | None,
        allow: Allowed,
    ) -> None:
        """`store` commits all rows that it is given, or none; `at_once`: how many groups may be in progress.
        Raises `RuntimeError` if no event loop is running."""
        refuse_without_loop(type(self).__name__)
        super().__init__(serde=serde or strict_serializer(allow))
        self._writes: GroupCommitter[Rows, None] = GroupCommitter(
            store, at_once=at_once, patience_seconds=COMMIT_PATIENCE_SECONDS
        )

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that `config` names, or the latest of its thread and namespace. Raises
        `StorageUnavailable`."""
        check_names(config)
        address = address_of(config)
        await self._writes.settled(address[0])
        return await self._read(address)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """The values and writes that delta channels are built from, as of a checkpoint."""
        address = address_of(config)
        if address[2] is None:
            latest = await self.aget_tuple(config)
            if latest is None:
                return {channel: {"writes": []} for channel in channels}
            address = address_of(latest.config)
        await self._writes.settled(address[0])
        return await self._delta_history(address, channels)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Stores a checkpoint; returns its address when it is committed. Raises `StorageUnavailable`."""
        # If the caller is cancelled, the checkpoint is stored all the same, and the next read waits for it.
        await asyncio.shield(self.submit_put(config, checkpoint, metadata, new_versions))
        thread_id, namespace = config["configurable"]["thread_id"], namespace_of(config)
        return checkpoint_config(thread_id, namespace, checkpoint["id"])

    def submit_put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
        after: asyncio.Future[Any] | None = None,
    ) -> asyncio.Future[None]:
        """Like `aput`, without waiting: the future is done when the checkpoint is committed. It fails if
        `after` fails, the future of an earlier checkpoint of the thread: this checkpoint may refer to values
        that were not stored then. Raises `InvalidRequest` for a name that can't be stored."""
        check_names(config, new_versions)
        return self._store(
            config,
            is_heavy(self._encoded(checkpoint, new_versions)),
            lambda: self._checkpoint_rows(config, checkpoint, metadata, new_versions),
            after,
        )

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Stores the writes of a task; returns when they are committed. Raises `StorageUnavailable`."""
        await asyncio.shield(self.submit_put_writes(config, writes, task_id, task_path))

    def submit_put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> asyncio.Future[None]:
        """Like `aput_writes`, without waiting: the future is done when the writes are committed. Raises
        `InvalidRequest` for a name that can't be stored."""
        check_names(config, [channel for channel, _ in writes], task_id, task_path)
        return self._store(
            config, is_heavy(writes), lambda: write_rows(self.serde, config, writes, task_id, task_path)
        )

    put_behind = submit_put
    put_writes_behind = submit_put_writes
    """Former names of these two methods."""

    async def adelete_thread(self, thread_id: str) -> None:
        """Deletes all checkpoints of a thread."""
        await self._delete_alone([str(thread_id)])

    async def adelete_run(self, thread_id: str | None, run_ids: Sequence[str]) -> None:
        """Deletes the checkpoints of runs (found by `run_id` in their metadata), and the data that only they
        needed. `thread_id` None: in every thread."""
        if thread_id is None:
            await self._delete_runs(None, run_ids)
            return
        async with self._writes.alone(thread_id):
            await self._delete_runs(thread_id, run_ids)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Like `adelete_run`, in every thread."""
        await self.adelete_run(None, run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copies all checkpoints of a thread to another."""
        await self._writes.settled(str(source_thread_id))
        async with self._writes.alone(str(target_thread_id)):
            await self._copy_thread(str(source_thread_id), str(target_thread_id))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Deletes all checkpoints of threads (`delete`), or all except the latest of each namespace and those
        that it is built from (`keep_latest`). Checkpoints of subgraph calls are deleted with the checkpoint
        that the call was made from. Raises `NotImplementedError` for a thread that is known to need more."""
        if isinstance(thread_ids, str):
            raise TypeError(f"thread_ids: {thread_ids!r}: must be a sequence of ids")
        if strategy not in ("keep_latest", "delete"):
            raise ValueError(f"strategy: {strategy!r}: must be keep_latest or delete")
        if strategy == "delete":
            await self._delete_alone(sorted({str(thread_id) for thread_id in thread_ids}))
            return
        for thread_id in map(str, thread_ids):
            async with self._writes.alone(thread_id):
                await self._keep_latest(thread_id)

    def get_next_version(self, current: str | None, channel: None) -> str:
        """The version after `current`, in the form of the official savers."""
        number = int(str(current).split(".", 1)[0]) if current is not None else 0
        return f"{number + 1:032}.{random.random():016}"

    def _store(
        self,
        config: RunnableConfig,
        heavy: bool,
        encode: Callable[[], Rows],
        after: asyncio.Future[Any] | None = None,
    ) -> asyncio.Future[None]:
        """Encodes and submits rows. Small values are encoded at once, which is faster than passing them to a
        thread; heavy ones are encoded in a thread, so that the loop is not blocked."""
        thread_id = str(config["configurable"]["thread_id"])
        if heavy:

            async def prepare() -> tuple[Rows, int]:
                rows = await asyncio.to_thread(encode)
                return rows, rows.size

            return self._writes.submit_later(thread_id, prepare, after)
        rows = encode()
        return self._writes.submit(thread_id, rows, rows.size, after)

    async def _delete_alone(self, thread_ids: Sequence[str]) -> None:
        """Deletes all checkpoints of threads. The ids must be sorted, so that two deletions of overlapping
        threads never wait for each other (no deadlock)."""
        async with AsyncExitStack() as turns:
            for thread_id in thread_ids:
                await turns.enter_async_context(self._writes.alone(thread_id))
            await self._delete_threads(thread_ids)

    async def _read(self, address: Address) -> CheckpointTuple | None:
        raise NotImplementedError

    async def _delta_history(
        self, address: Address, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        raise NotImplementedError

    def _encoded(self, checkpoint: Checkpoint, new_versions: ChannelVersions) -> Sequence[Any]:
        """The values of a checkpoint that must be encoded to store it."""
        raise NotImplementedError

    def _checkpoint_rows(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Rows:
        raise NotImplementedError

    async def _delete_threads(self, thread_ids: Sequence[str]) -> None:
        raise NotImplementedError

    async def _delete_runs(self, thread_id: str | None, run_ids: Sequence[str]) -> None:
        raise NotImplementedError

    async def _copy_thread(self, source: str, target: str) -> None:
        raise NotImplementedError

    async def _keep_latest(self, thread_id: str) -> None:
        raise NotImplementedError


def strict_serializer(allow: Allowed = ()) -> Serializer:
    """LangGraph's serialiser, which decodes stored values only to known types and those in `allow`."""
    return Serializer(allowed_msgpack_modules=allow if allow is True else [*allow] or None)
