"""Savers whose caller may go on before what it stores is on the disk."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata


class WriteBehindSaver(ABC):
    """A saver whose caller may go on while what it stores is on its way to the disk. What is stored to one
    thread keeps its order."""

    async def admitted(self) -> None:
        """To be awaited before something is stored. Raises `StorageUnavailable` where nothing may be."""
        return

    @abstractmethod
    def submit_put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
        after: asyncio.Future[Any] | None,
    ) -> asyncio.Future[Any]:
        """Begins to store a checkpoint. The future ends when it is committed; it fails, and nothing is
        stored, where `after` (the checkpoint before) fails: a checkpoint names values that those before it
        have stored."""

    @abstractmethod
    def submit_put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> asyncio.Future[Any]:
        """Begins to store what a task wrote. The future ends when it is committed."""
