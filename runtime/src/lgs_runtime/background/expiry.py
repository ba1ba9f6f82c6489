"""Handles threads whose time to live has passed: deletes them, or keeps only their latest state.

Every replica sweeps at its own times; a thread that another replica has handled is not found again. A thread
with an unfinished run is never touched.
"""

from __future__ import annotations

import structlog

from lgs_runtime.errors import NotFound, StorageUnavailable
from lgs_runtime.model import Thread
from lgs_runtime.services import Services
from lgs_runtime.threads.removal import keep_latest

log = structlog.get_logger(__name__)


class Expiry:
    """A duty of each replica."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ttl = services.settings.checkpointer.ttl

    async def sweep_once(self) -> int:
        """Handles at most `sweep_limit` threads; returns their number. Raises `StorageUnavailable`."""
        storage, limit = self._services.storage, self._ttl.sweep_limit
        deleted = await storage.threads.expire(limit)
        for thread_id in deleted:
            await self._services.checkpointer.adelete_thread(thread_id)
        self._services.metrics.expired("delete", len(deleted))
        stale = await storage.threads.stale(limit - len(deleted)) if len(deleted) < limit else ()
        pruned = sum([await self._prune(thread) for thread in stale])
        self._services.metrics.expired("keep_latest", pruned)
        if deleted or stale:
            log.info("expiry.swept", deleted=len(deleted), pruned=pruned)
        return len(deleted) + pruned

    async def _prune(self, thread: Thread) -> bool:
        """Prunes a thread to its latest state; returns whether it was. A thread whose pruning fails is left
        until it changes."""
        try:
            if not await keep_latest(self._services, thread.thread_id, reason="ttl"):
                return False
        except NotFound:
            return False
        except StorageUnavailable:
            raise
        except Exception as failed:
            # Opening the thread's graph runs the application's code: whatever that raises concerns only this
            # thread, and the others have to be swept.
            log.warning("thread.not_pruned", thread_id=thread.thread_id, reason=str(failed), exc_info=failed)
            await self._services.storage.threads.note_pruned(thread)
            return False
        await self._services.storage.threads.note_pruned(thread)
        return True
