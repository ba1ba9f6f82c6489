"""Deletes expired data: records of old runs, old audit trails, and checkpoints of stateless runs whose
replica died before it could delete them."""

from __future__ import annotations

from typing import Any

import structlog
from langgraph.checkpoint.base import BaseCheckpointSaver

from lgs_runtime.storage.contract import Storage
from lgs_runtime.worker.cleanup import delete_checkpoints

ORPHANED_SECONDS = 120.0
"""Age from which threads of stateless runs count as left behind: longer than a replica takes to clean up
after its own runs."""
AUDIT_DAYS = 30.0
"""How long the audit trail of a deleted thread is kept."""
log = structlog.get_logger(__name__)


class Cleanup:
    """A duty of each replica."""

    def __init__(
        self, storage: Storage, checkpointer: BaseCheckpointSaver[Any], *, run_ttl_hours: float
    ) -> None:
        self._storage = storage
        self._checkpointer = checkpointer
        self._run_ttl_hours = run_ttl_hours

    async def clean_once(self) -> None:
        """Deletes records of old runs, old audit trails, and checkpoints that stateless runs left behind."""
        runs = await self._storage.runs.expire(self._run_ttl_hours)
        await self._storage.audit.expire(AUDIT_DAYS)
        left = await self.clean_orphaned(ORPHANED_SECONDS)
        if runs or left:
            log.info("cleanup.deleted", runs=runs, left_behind=left)

    async def clean_orphaned(self, older_than_seconds: float) -> int:
        """Deletes the checkpoints of stateless runs whose replica died before it could delete them; returns
        the number of threads."""
        orphaned = await self._storage.orphans.older_than(older_than_seconds)
        if orphaned:
            await delete_checkpoints(self._storage.orphans, self._checkpointer, orphaned)
        return len(orphaned)
