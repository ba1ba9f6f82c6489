"""Brings back the runs of replicas that died. Every replica does so, at its own moments; the storage sees to
it that each run comes back once."""

from __future__ import annotations

from typing import Any

import structlog
from langgraph.checkpoint.base import BaseCheckpointSaver

from lgs_runtime.metrics import Metrics
from lgs_runtime.model import Run, Signal
from lgs_runtime.notifier import Notifier
from lgs_runtime.run_kwargs import RunKwargs
from lgs_runtime.storage.contract import Storage
from lgs_runtime.streams.contract import StreamBroker
from lgs_runtime.worker.cleanup import delete_checkpoints
from lgs_runtime.worker.publisher import publish_failure

log = structlog.get_logger(__name__)


class Reaper:
    """A duty of each replica."""

    def __init__(
        self,
        storage: Storage,
        checkpointer: BaseCheckpointSaver[Any],
        streams: StreamBroker,
        notifier: Notifier,
        metrics: Metrics,
        *,
        replica: str | None = None,
        max_attempts: int,
    ) -> None:
        self._storage = storage
        self._checkpointer = checkpointer
        self._streams = streams
        self._notifier = notifier
        self._metrics = metrics
        self._replica = replica
        self._max_attempts = max_attempts

    async def reap_once(self) -> None:
        """Takes the runs of dead replicas and notifies their waiters. Raises `StorageUnavailable`."""
        reaped = await self._storage.queue.reap(self._max_attempts, self._replica)
        if not reaped:
            return
        self._metrics.reaped(len(reaped))
        for run in reaped:
            log.warning("run.reaped", run_id=run.run_id, status=run.status, attempt=run.attempt)
            if run.status != "pending":
                await self._ended(run)
        self._notifier.announce(Signal("queued", ""))

    async def _ended(self, run: Run) -> None:
        await publish_failure(self._streams, run, "ReplicaLost", run.error or "its replica was lost")
        self._notifier.announce(Signal("finished", run.run_id))
        if RunKwargs.from_json(run.kwargs).temporary:
            await delete_checkpoints(self._storage.orphans, self._checkpointer, [run.thread_id])
