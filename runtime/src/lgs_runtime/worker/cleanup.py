"""Clears up after stateless runs: the checkpoints of a thread that was made for one run go soon after its
end, those of many threads at once.

What a replica does not clear because it died, or because the database was away, any janitor finds: the
storage keeps the threads' ids until it is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import structlog
from langgraph.checkpoint.base import BaseCheckpointSaver

from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.storage.contract import Storage

CLEAR_SECONDS: Final = 1.0
"""Threads whose runs end within so long are cleared together."""
MOST_THREADS: Final = 500
log = structlog.get_logger(__name__)


class Clearing:
    """Owned by the worker, which closes it last."""

    def __init__(self, storage: Storage, checkpointer: BaseCheckpointSaver[Any]) -> None:
        self._storage = storage
        self._checkpointer = checkpointer
        self._spent: list[str] = []
        self._round: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def soon(self, thread_id: str) -> None:
        """The thread's only run has ended, and its end is stored."""
        self._spent.append(thread_id)
        if self._round is None or self._round.done():
            self._round = asyncio.create_task(self._clear_soon(), name="clearing")

    async def close(self) -> None:
        """Clears what is left now."""
        self._closing.set()
        if self._round is not None:
            await self._round

    async def _clear_soon(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLEAR_SECONDS):
                await self._closing.wait()
        while self._spent:
            now, self._spent = self._spent[:MOST_THREADS], self._spent[MOST_THREADS:]
            try:
                await clear(self._storage, self._checkpointer, now)
            except StorageUnavailable as gone:
                log.warning("clearing.failed", reason=str(gone), threads=len(now))


async def clear(storage: Storage, checkpointer: BaseCheckpointSaver[Any], thread_ids: Sequence[str]) -> None:
    """Deletes all checkpoints of threads whose runs were stateless, and tells the storage. Raises
    `StorageUnavailable`."""
    await checkpointer.aprune(thread_ids, strategy="delete")
    await storage.forget_orphaned(thread_ids)
