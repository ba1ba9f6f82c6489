"""Savers whose caller may go on before its data is committed."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata


class WriteBehindSaver(ABC):
    """A saver whose caller may go on while its data is being stored. Stores to one thread keep their
    order."""

    async def admitted(self) -> None:
        """Must be awaited before each store. Raises `StorageUnavailable` if nothing may be stored."""
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
        """Begins to store a checkpoint. The future is done when it is committed. If `after` (the store of the
        checkpoint before) fails, it fails too and nothing is stored: a checkpoint refers to values that
        earlier ones have stored."""

    @abstractmethod
    def submit_put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> asyncio.Future[Any]:
        """Begins to store the writes of a task. The future is done when they are committed."""
