"""What the savers of both databases share: calls gather into groups, and a thread keeps its order.

`aput` and `aput_writes` return when what they store is committed; what changes a whole thread has the thread
to itself meanwhile. Nothing holds a lock between requests.
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
"""For so long a commit is tried again while the database is away."""

Allowed = Literal[True] | Collection[tuple[str, ...] | type]


def refuse_address(saver: str, given: object) -> None:
    """Raises `TypeError` where a saver is given where a database is, in place of one that is open. Of an
    address nothing is shown: a password may be in it."""
    if isinstance(given, str | PurePath):
        rule = f"must be an open database; `async with {saver}.from_conn_string(…) as saver:` opens one"
        raise TypeError(f"{saver}: the address of a database: {rule}")


def refuse_without_loop(saver: str) -> None:
    """Raises `RuntimeError` where no event loop runs, in which a saver commits what it is given."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        rule = "must be made in the event loop that uses it, such as that of `asyncio.run`"
        raise RuntimeError(f"{saver}: no event loop runs here: {rule}") from None


class GroupedSaver(BlockingSaver, WriteBehindSaver):
    """A subclass reads, makes rows of checkpoints, and does to whole threads what the interface asks."""

    def __init__(
        self,
        store: Callable[[Sequence[Rows]], Awaitable[Sequence[None]]],
        *,
        at_once: int,
        serde: SerializerProtocol | None,
        allow: Allowed,
    ) -> None:
        """`store` commits all that it is given, or nothing; `at_once`: how many groups may be under way.
        Raises `RuntimeError` where no event loop runs."""
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
        """What delta channels are built from, seen from a checkpoint."""
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
        """Stores a checkpoint and returns its address when it is committed. Raises `StorageUnavailable`."""
        # Who is cancelled meanwhile has stored it all the same: what reads the thread next waits for it.
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
        """As `aput`, without waiting: the future ends when it is committed. Where `after`, the future of a
        checkpoint of the thread before, has failed, so does this: its values may be among those that were
        not stored. Raises `InvalidRequest` for a name that can't be kept."""
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
        """Stores what a task wrote and returns when it is committed. Raises `StorageUnavailable`."""
        await asyncio.shield(self.submit_put_writes(config, writes, task_id, task_path))

    def submit_put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> asyncio.Future[None]:
        """As `aput_writes`, without waiting: the future ends when it is committed. Raises `InvalidRequest`
        for a name that can't be kept."""
        check_names(config, [channel for channel, _ in writes], task_id, task_path)
        return self._store(
            config, is_heavy(writes), lambda: write_rows(self.serde, config, writes, task_id, task_path)
        )

    put_behind = submit_put
    put_writes_behind = submit_put_writes
    """What these two were called before."""

    async def adelete_thread(self, thread_id: str) -> None:
        """Deletes all checkpoints of a thread."""
        await self._delete_alone([str(thread_id)])

    async def adelete_run(self, thread_id: str | None, run_ids: Sequence[str]) -> None:
        """Deletes the checkpoints that runs made (found by `run_id` in their metadata), and what only they
        needed. None: in every thread."""
        if thread_id is None:
            await self._delete_runs(None, run_ids)
            return
        async with self._writes.alone(thread_id):
            await self._delete_runs(thread_id, run_ids)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `adelete_run`, in every thread."""
        await self.adelete_run(None, run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copies all checkpoints of a thread to another."""
        await self._writes.settled(str(source_thread_id))
        async with self._writes.alone(str(target_thread_id)):
            await self._copy_thread(str(source_thread_id), str(target_thread_id))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Deletes all checkpoints of threads (`delete`), or all but the latest of each namespace and what it
        is built from (`keep_latest`); calls of subgraphs go with the checkpoint that they were made from.
        Raises `NotImplementedError` for a thread that is known to need more."""
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
        """A version after `current`, of the form that the official savers give."""
        number = int(str(current).split(".", 1)[0]) if current is not None else 0
        return f"{number + 1:032}.{random.random():016}"

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

    async def _delete_alone(self, thread_ids: Sequence[str]) -> None:
        """Deletes all checkpoints of threads, whose ids are in order: of two that delete some of the same,
        the second waits, and neither for the other."""
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
        """The values of a checkpoint that are encoded when it is stored."""
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
    """LangGraph's serialiser that makes only known types from what is stored, and those in `allow`."""
    return Serializer(allowed_msgpack_modules=allow if allow is True else [*allow] or None)
