"""Threads whose time to live has passed: they are deleted, or lose all but their latest state.

Every replica sweeps, each at its own moments; a thread that another has dealt with is not found again. A
thread with an unfinished run is never touched.
"""

from __future__ import annotations

import structlog

from lgs_runtime.errors import NotFound, StorageUnavailable
from lgs_runtime.model import Thread
from lgs_runtime.repeating import repeatedly
from lgs_runtime.runs.threads import keep_latest
from lgs_runtime.services import Services

log = structlog.get_logger(__name__)


class Expiry:
    """One loop, to be run as a task of `opening.py`; it ends by cancellation."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ttl = services.settings.checkpointer.ttl

    async def sweep_forever(self) -> None:
        """Sweeps every `sweep_interval_minutes`, a little more or less."""
        await repeatedly("expiry", self.sweep_once, self._ttl.sweep_interval_minutes * 60)

    async def sweep_once(self) -> int:
        """Deals with at most `sweep_limit` threads; with how many. Raises `StorageUnavailable`."""
        storage, limit = self._services.storage, self._ttl.sweep_limit
        deleted = await storage.expire_threads(limit)
        for thread_id in deleted:
            await self._services.checkpointer.adelete_thread(thread_id)
        self._services.metrics.expired("delete", len(deleted))
        stale = await storage.stale_threads(limit - len(deleted)) if len(deleted) < limit else ()
        thinned = sum([await self._thin(thread) for thread in stale])
        self._services.metrics.expired("keep_latest", thinned)
        if deleted or stale:
            log.info("expiry.swept", deleted=len(deleted), thinned=thinned)
        return len(deleted) + thinned

    async def _thin(self, thread: Thread) -> bool:
        """Whether the thread lost its past. One that can't is left until it changes."""
        try:
            if not await keep_latest(self._services, thread.thread_id, reason="ttl"):
                return False
        except NotFound:
            return False
        except StorageUnavailable:
            raise
        except Exception as failed:
            # Opening the thread's graph runs the application's code: whatever that raises concerns this
            # thread alone, and the others have to be swept.
            log.warning("thread.not_thinned", thread_id=thread.thread_id, reason=str(failed), exc_info=failed)
            await self._services.storage.note_thinned(thread)
            return False
        await self._services.storage.note_thinned(thread)
        return True
