"""Deletes the checkpoints of stateless runs, whose threads were made for one run: soon after their end, in
batches of many threads.

Checkpoints that a replica did not delete because it died, or because the database was unreachable, are found
by the cleanup of any replica (`background/cleanup.py`): the storage keeps the ids of such threads until they
are marked as done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from langgraph.checkpoint.base import BaseCheckpointSaver

from lgs_runtime.periodic import log_failure
from lgs_runtime.storage.contract import Orphans

BATCH_SECONDS: Final = 1.0
"""How long threads are gathered, to be deleted together."""
BATCH_THREADS: Final = 500


class CheckpointCleanup:
    """Deletes checkpoints in batches. Owned by the worker, which closes it last."""

    def __init__(self, orphans: Orphans, checkpointer: BaseCheckpointSaver[Any]) -> None:
        self._orphans = orphans
        self._checkpointer = checkpointer
        self._orphaned: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def schedule(self, thread_id: str) -> None:
        """Schedules the deletion of a thread whose only run has ended, after its end was stored."""
        self._orphaned.append(thread_id)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="checkpoint-cleanup")

    async def close(self) -> None:
        """Deletes the remaining threads now."""
        self._closing.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(BATCH_SECONDS):
                await self._closing.wait()
        while self._orphaned:
            now, self._orphaned = self._orphaned[:BATCH_THREADS], self._orphaned[BATCH_THREADS:]
            try:
                await delete_checkpoints(self._orphans, self._checkpointer, now)
            # What is left behind is found again later, by any replica; the next threads may do better.
            except Exception as failed:  # noqa: BLE001
                log_failure("cleanup", failed)


async def delete_checkpoints(
    orphans: Orphans, checkpointer: BaseCheckpointSaver[Any], thread_ids: Sequence[str]
) -> None:
    """Deletes all checkpoints of the threads of stateless runs, and notes that in the storage. Raises
    `StorageUnavailable`."""
    await checkpointer.aprune(thread_ids, strategy="delete")
    await orphans.forget(thread_ids)
