"""Takes back the runs of replicas that died. Every replica does so at its own times; the storage ensures that
each run is taken back once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from langgraph.checkpoint.base import BaseCheckpointSaver

from lgs_runtime.background.endings import publish_ending
from lgs_runtime.metrics import Metrics
from lgs_runtime.model import Signal
from lgs_runtime.notifier import Notifier
from lgs_runtime.storage.contract import Storage
from lgs_runtime.streams.contract import StreamBroker

if TYPE_CHECKING:
    from lgs_runtime.tracing.tracer import Tracing

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
        tracing: Tracing | None = None,
    ) -> None:
        self._storage = storage
        self._checkpointer = checkpointer
        self._streams = streams
        self._notifier = notifier
        self._metrics = metrics
        self._replica = replica
        self._max_attempts = max_attempts
        self._tracing = tracing

    async def reap_once(self) -> None:
        """Takes back the runs of dead replicas, and notifies the waiters of those that ended by that. Raises
        `StorageUnavailable`."""
        reaped = await self._storage.queue.reap(self._max_attempts, self._replica)
        if not reaped:
            return
        self._metrics.reaped(len(reaped))
        for run in reaped:
            log.warning("run.reaped", run_id=run.run_id, status=run.status, attempt=run.attempt)
            if self._tracing is not None:
                self._tracing.lost(run)
            if run.status != "pending":
                await publish_ending(
                    run,
                    "ReplicaLost",
                    storage=self._storage,
                    checkpointer=self._checkpointer,
                    streams=self._streams,
                    notifier=self._notifier,
                )
        self._notifier.announce(Signal("queued", ""))
