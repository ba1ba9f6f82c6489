"""Keeps the number of versions of threads within its limit, in the background.

The oldest versions are deleted, and with them the checkpoints before the oldest remaining version, but never
one that a version, the thread's present state or an unfinished run refers to. A thread whose values are built
from its past (`DeltaChannel`), or whose graph this replica does not know, keeps its checkpoints.
"""

from __future__ import annotations

import structlog

from lgs_runtime.errors import EncryptionFailed, NotFound
from lgs_runtime.model import Page
from lgs_runtime.run_kwargs import RunKwargs
from lgs_runtime.services import Services
from lgs_runtime.storage.queries import RunQuery
from lgs_runtime.threads.removal import UNFINISHED, needs_past

MOST_RUNS = 1000
log = structlog.get_logger(__name__)


class Pruner:
    """A duty of each replica."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def prune_once(self) -> int:
        """Prunes the threads that have too many versions; returns their number. Two replicas may do so at
        once. Raises `StorageUnavailable`."""
        over_limit = await self._services.storage.versions.threads_over_limit()
        for thread_id in over_limit:
            try:
                checkpoints = await self._prune(thread_id)
            except EncryptionFailed as failed:
                # The thread's keys may become available again; the others have to be pruned meanwhile.
                log.warning("thread.not_pruned", thread_id=thread_id, reason=str(failed))
                continue
            await self._services.storage.versions.forget_over_limit([thread_id])
            log.info("thread.pruned", thread_id=thread_id, checkpoints=checkpoints)
        return len(over_limit)

    async def _prune(self, thread_id: str) -> int:
        storage = self._services.storage
        try:
            thread = await storage.threads.get(thread_id)
        except NotFound:
            return 0
        left = await storage.versions.prune(thread_id, self._services.settings.versions_limit)
        self._services.metrics.pruned(0, left.deleted)
        known = thread.metadata.get("graph_id") in self._services.graphs.ids
        if left.oldest is None or not known or await needs_past(self._services, thread):
            return 0
        floor = min([left.oldest, *await self._named_by_runs(thread_id)])
        checkpoints = await self._services.upkeep.prune(thread_id, floor)
        self._services.metrics.pruned(checkpoints, 0)
        return checkpoints

    async def _named_by_runs(self, thread_id: str) -> list[str]:
        """Ids of the checkpoints that unfinished runs name as their start."""
        unfinished = [
            RunKwargs.from_json(run.kwargs).checkpoint or {}
            for status in UNFINISHED
            for run in await self._services.storage.runs.of_thread(
                thread_id, RunQuery(page=Page(limit=MOST_RUNS), status=status)
            )
        ]
        return [at["checkpoint_id"] for at in unfinished if at.get("checkpoint_id")]
