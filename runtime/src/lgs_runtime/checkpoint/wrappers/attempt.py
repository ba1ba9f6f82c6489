"""The saver of one attempt of a run. It remembers what the attempt has stored, so that data that was just
written is not read back; with durability `async`, the graph goes on while its checkpoints are being stored.

Nobody else writes to a thread while a run holds it, so its latest checkpoint is the one that the attempt put
last. `settle` must be awaited before the end of the attempt is stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, Final, Self

from langchain_core.runnables import RunnableConfig
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
    copy_checkpoint,
    get_checkpoint_id,
    get_serializable_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.serde.types import ERROR

from lgs_runtime.checkpoint.configs import address_of, checkpoint_config, without_who_asked
from lgs_runtime.checkpoint.metadata import CallMetadata
from lgs_runtime.checkpoint.wrappers.delegation import DelegatingSaver
from lgs_runtime.checkpoint.wrappers.write_behind import WriteBehindSaver
from lgs_runtime.errors import LeaseLost

CHECKPOINTER: Final = "__pregel_checkpointer"
"""The key of `configurable` through which LangGraph passes a saver to a graph for one call."""
MOST_BEHIND: Final = 64
"""How many stores may be in progress before the graph waits for one."""


class AttemptSaver(DelegatingSaver):
    """A saver for one attempt on one thread. Calls for others and for subgraphs (namespaces) pass through."""

    def __init__(
        self,
        saver: BaseCheckpointSaver[Any],
        thread_id: str,
        *,
        write_behind: bool = False,
        empty: bool = False,
        memory: _Memory | None = None,
    ) -> None:
        """`write_behind`: the graph may go on before its data is committed. `empty`: nothing can have been
        stored for the thread yet."""
        super().__init__(saver)
        self._thread_id = thread_id
        self._write_behind = saver if write_behind and isinstance(saver, WriteBehindSaver) else None
        self._memory = memory or _Memory(empty=empty)

    def before(self, saver: BaseCheckpointSaver[Any]) -> Self:
        """The saver of the same attempt, in front of another saver."""
        write_behind = self._write_behind is not None
        return type(self)(saver, self._thread_id, write_behind=write_behind, memory=self._memory)

    async def settle(self) -> None:
        """Waits until everything is stored. Raises what storing it raised."""
        await self._memory.settle()

    def abandon(self) -> None:
        """Gives up stores that have not been sent yet: for an attempt whose thread is deleted with it, and
        whose result is stored with the run."""
        self._memory.abandon()

    async def arrived(self) -> None:
        """Like `settle`, but raises nothing: for an attempt that has failed already."""
        await self._memory.arrived()

    @property
    def on_its_way(self) -> asyncio.Future[Any] | None:
        """The store of the last checkpoint; None unless the graph goes on before it is stored."""
        return self._memory.last_put

    def cut(self) -> None:
        """Notes that the graph is cancelled from now on. An answer that a cancelled task has taken is not
        kept, also if its cleanup raises something else: LangGraph keeps it, so the answer of a run that was
        replaced would come before that of the run that replaced it."""
        self._memory.is_cut = True

    def shut(self) -> None:
        """Refuses all further stores, also of subgraphs: the attempt has ended without its graph."""
        self._memory.shut = True

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """See LangGraph's interface, also for the methods that follow."""
        if self._is_root(config):
            known = self._memory.latest(checkpoint_id := get_checkpoint_id(config))
            if known is not None or (self._memory.empty and not checkpoint_id):
                return known
        return await super().aget_tuple(config)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        self._memory.check()
        if not self._is_root(config):
            return await super().aput(without_who_asked(config), checkpoint, metadata, new_versions)
        if self._write_behind is None:
            config = without_who_asked(config)
            stored = await super().aput(config, checkpoint, metadata, new_versions)
        else:
            config, metadata = address_of(config), self._memory.of_call.of(config, metadata)
            await self._write_behind.admitted()
            after = self._memory.last_put
            put = self._write_behind.submit_put(config, checkpoint, metadata, new_versions, after)
            self._memory.last_put = put
            await self._memory.keep_up(put)
            stored = checkpoint_config(self._thread_id, checkpoint_id=checkpoint["id"])
        self._memory.put(config, checkpoint, metadata)
        return stored

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self._memory.check()
        if self._memory.is_cut and _is_of_a_failed_task(writes):
            return
        if not self._is_root(config):
            await super().aput_writes(config, writes, task_id, task_path)
            return
        if self._write_behind is None:
            await super().aput_writes(config, writes, task_id, task_path)
        else:
            await self._write_behind.admitted()
            await self._memory.keep_up(
                self._write_behind.submit_put_writes(config, writes, task_id, task_path)
            )
        self._memory.write(config, writes, task_id, task_path)

    # LangGraph asks for its saver's parameters in each run: with this it need not inspect the code.
    aput_writes.__signature__ = signature(aput_writes)  # type: ignore[attr-defined]

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        self._memory.check()
        self._memory.forget()
        return super().put(without_who_asked(config), checkpoint, metadata, new_versions)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self._memory.check()
        if self._memory.is_cut and _is_of_a_failed_task(writes):
            return
        self._memory.forget()
        super().put_writes(config, writes, task_id, task_path)

    def _is_root(self, config: RunnableConfig) -> bool:
        configurable = config["configurable"]
        return configurable.get("thread_id") == self._thread_id and not configurable.get("checkpoint_ns")


class _Memory:
    """The latest checkpoint that an attempt has put, and the stores in progress."""

    def __init__(self, *, empty: bool = False) -> None:
        self.empty = empty
        """Whether the thread has no checkpoint, neither from this attempt nor from before it."""
        self.is_cut = self.shut = False
        self.of_call = CallMetadata()
        self.last_put: asyncio.Future[Any] | None = None
        self._under_way: set[asyncio.Future[Any]] = set()
        self._failed: BaseException | None = None
        self._known: tuple[RunnableConfig, Checkpoint, CheckpointMetadata] | None = None
        self._writes: dict[str, dict[tuple[str, str, int], PendingWrite]] = {}
        """Pending writes by checkpoint: a task's writes may come before the checkpoint that it ran from."""

    def put(self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata) -> None:
        """Remembers a checkpoint as the latest."""
        self._known, self.empty = (config, checkpoint, metadata), False
        self._writes = {id: writes for id, writes in self._writes.items() if id >= checkpoint["id"]}

    def write(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> None:
        """Remembers a task's writes. By the savers' rule, an existing write is kept, except that a special
        write replaces it."""
        known = self._writes.setdefault(config["configurable"]["checkpoint_id"], {})
        for place, (channel, value) in enumerate(writes):
            key = (task_path, task_id, WRITES_IDX_MAP.get(channel, place))
            if channel in WRITES_IDX_MAP or key not in known:
                known[key] = (task_id, channel, value)

    def latest(self, checkpoint_id: str | None) -> CheckpointTuple | None:
        """The latest checkpoint, if it is known and is the one asked for; else None."""
        if self._known is None:
            return None
        config, checkpoint, metadata = self._known
        if checkpoint_id not in (None, "", checkpoint["id"]):
            return None
        thread_id, parent_id = (
            config["configurable"]["thread_id"],
            config["configurable"].get("checkpoint_id"),
        )
        writes = self._writes.get(checkpoint["id"], {})
        ordered = sorted(writes.items(), key=lambda write: writes_sort_key(*write[0]))
        return CheckpointTuple(
            checkpoint_config(thread_id, checkpoint_id=checkpoint["id"]),
            copy_checkpoint(checkpoint),
            get_serializable_checkpoint_metadata(config, metadata),
            checkpoint_config(thread_id, checkpoint_id=parent_id) if parent_id else None,
            [write for _, write in ordered],
        )

    def check(self) -> None:
        """Raises `LeaseLost` if the saver is shut."""
        if self.shut:
            raise LeaseLost("the attempt has ended without its graph: nothing that it stores now is kept")

    def forget(self) -> None:
        """Forgets the latest checkpoint, as something was stored past this memory: it must be read again."""
        self._known, self.empty = None, False

    async def keep_up(self, stored: asyncio.Future[Any]) -> None:
        """Notes a store in progress, and waits if there are too many. Raises what an earlier one raised."""
        self._under_way.add(stored)
        stored.add_done_callback(self._arrived)
        while len(self._under_way) > MOST_BEHIND:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        self._raise()

    async def settle(self) -> None:
        """Waits for all stores in progress. Raises what the first that failed raised."""
        await self.arrived()
        self._raise()

    def abandon(self) -> None:
        """Cancels the stores in progress that have not been sent yet."""
        for stored in list(self._under_way):
            stored.cancel()

    async def arrived(self) -> None:
        """Waits for all stores in progress, whether they succeed or not."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def _arrived(self, stored: asyncio.Future[Any]) -> None:
        self._under_way.discard(stored)
        # Only the first failure is kept, but each is retrieved: asyncio complains of those that are not.
        if not stored.cancelled() and (failed := stored.exception()) is not None and self._failed is None:
            self._failed = failed

    def _raise(self) -> None:
        if self._failed is not None:
            raise self._failed


def _is_of_a_failed_task(writes: Sequence[tuple[str, Any]]) -> bool:
    """Whether a task's writes end with its cancellation, or another exception, as LangGraph stores them."""
    return any(channel == ERROR for channel, _ in writes)


def may_write_behind(channels: Mapping[str, object], durability: str) -> bool:
    """Whether a graph with these channels may go on before its checkpoints are stored. A `DeltaChannel` is
    built from the writes of all steps, which must be stored before a checkpoint that depends on them."""
    return durability == "async" and not any(isinstance(each, DeltaChannel) for each in channels.values())
