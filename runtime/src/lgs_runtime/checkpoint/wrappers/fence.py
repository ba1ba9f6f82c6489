"""Prevents a replica whose lease has run out from writing checkpoints.

A process that stood still (a paused machine, a long swap) continues in the middle of a step that another
replica has long taken over, and would write its own checkpoint after the other's: the thread would fall back.
So each write first checks the time, on a clock that goes on meanwhile, and waits until the lease is renewed
or lost. Reads pass through and are noted, so that the ids of later writes sort after them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)

from lgs_runtime.checkpoint.id_order import advanced_past
from lgs_runtime.checkpoint.wrappers.delegation import DelegatingSaver
from lgs_runtime.checkpoint.wrappers.write_behind import WriteBehindSaver
from lgs_runtime.errors import StorageUnavailable

POLL_SECONDS = 0.02


class Fence:
    """Knows until when this replica's lease is held, in seconds of `time.monotonic`. Open until the first
    lease is taken."""

    def __init__(self, patience_seconds: float = 0.0) -> None:
        """`patience_seconds`: how long a write waits for a lease that has run out to be renewed or lost."""
        self._patience_seconds = patience_seconds
        self._until = float("inf")
        self._lost = False
        self._losses = 0

    def held_until(self, moment: float) -> None:
        """Notes that the lease was taken or renewed. May be called from any thread."""
        self._until, self._lost = moment, False

    def lost(self) -> None:
        """Notes that the lease is lost: attempts that executed under it must write no more."""
        self._lost, self._losses = True, self._losses + 1

    def is_held(self) -> bool:
        """Whether the lease is known to be held now."""
        return not self._lost and time.monotonic() < self._until

    def check(self) -> None:
        """Raises `StorageUnavailable` when the lease has run out."""
        if not self.is_held():
            raise StorageUnavailable("the lease of this replica has run out: it writes no checkpoints")

    async def passed(self) -> None:
        """Returns when the lease is held. A lease that ran out may be renewed in a moment, if the replica
        stood still and has just continued. Raises `StorageUnavailable` if it is lost."""
        if self.is_held():
            return
        losses, give_up_at = self._losses, time.monotonic() + self._patience_seconds
        while self._is_undecided(losses) and time.monotonic() < give_up_at:  # noqa: ASYNC110 - rare
            await asyncio.sleep(POLL_SECONDS)
        self._judge(losses)

    def wait(self) -> None:
        """Like `passed`, for threads other than the event loop's."""
        losses, give_up_at = self._losses, time.monotonic() + self._patience_seconds
        while self._is_undecided(losses) and time.monotonic() < give_up_at:
            time.sleep(POLL_SECONDS)
        self._judge(losses)

    def _is_undecided(self, losses: int) -> bool:
        return not self._lost and self._losses == losses and time.monotonic() >= self._until

    def _judge(self, losses: int) -> None:
        if self._losses != losses:
            raise StorageUnavailable("the lease of this replica was lost: it writes no checkpoints")
        self.check()


class FencedSaver(DelegatingSaver):
    """A saver behind a fence."""

    def __init__(self, saver: BaseCheckpointSaver[Any], fence: Fence) -> None:
        super().__init__(saver)
        self._fence = fence

    def before(self, saver: BaseCheckpointSaver[Any]) -> FencedSaver:
        """Another saver behind the same fence."""
        return fenced(saver, self._fence)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """See LangGraph's interface, also for the methods that follow."""
        self._fence.wait()
        return super().put(config, checkpoint, metadata, new_versions)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        await self._fence.passed()
        return await super().aput(config, checkpoint, metadata, new_versions)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        self._fence.wait()
        super().put_writes(config, writes, task_id, task_path)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await self._fence.passed()
        await super().aput_writes(config, writes, task_id, task_path)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return advanced_past(super().get_tuple(config))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return advanced_past(await super().aget_tuple(config))


class FencedWriteBehindSaver(FencedSaver, WriteBehindSaver):
    """A write-behind saver behind a fence."""

    _saver: Any

    async def admitted(self) -> None:
        """See `WriteBehindSaver`."""
        await self._fence.passed()

    def submit_put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
        after: asyncio.Future[Any] | None,
    ) -> asyncio.Future[Any]:
        """See `WriteBehindSaver`."""
        self._fence.check()
        stored: asyncio.Future[Any] = self._saver.submit_put(
            config, checkpoint, metadata, new_versions, after
        )
        return stored

    def submit_put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> asyncio.Future[Any]:
        """See `WriteBehindSaver`."""
        self._fence.check()
        stored: asyncio.Future[Any] = self._saver.submit_put_writes(config, writes, task_id, task_path)
        return stored


def fenced(saver: BaseCheckpointSaver[Any], fence: Fence) -> FencedSaver:
    """Puts a saver behind a fence; a write-behind saver stays one."""
    return (
        FencedWriteBehindSaver(saver, fence)
        if isinstance(saver, WriteBehindSaver)
        else FencedSaver(saver, fence)
    )
