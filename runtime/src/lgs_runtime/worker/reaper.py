"""Brings back the runs of replicas that died. Every replica does so, at its own moments; the storage sees to
it that each run comes back once. Also the janitor: records of old runs go."""

from __future__ import annotations

from typing import Any

import structlog
from langgraph.checkpoint.base import BaseCheckpointSaver

from lgs_runtime.model import Run, Signal
from lgs_runtime.repeating import repeatedly
from lgs_runtime.storage.contract import Storage
from lgs_runtime.streams.contract import StreamBroker
from lgs_runtime.worker.clearing import clear
from lgs_runtime.worker.hub import SignalHub
from lgs_runtime.worker.kwargs import RunKwargs
from lgs_runtime.worker.metrics import Metrics
from lgs_runtime.worker.publisher import publish_failure

REAPS_PER_LEASE = 2
JANITOR_SECONDS = 60.0
SPENT_SECONDS = 120.0
"""Longer than a replica takes to clear up after its own runs."""
AUDIT_DAYS = 30.0
"""How long the audit trail of a deleted thread is kept."""
log = structlog.get_logger(__name__)


class Reaper:
    """Two loops, to be run as tasks of `opening.py`; they end by cancellation."""

    def __init__(
        self,
        storage: Storage,
        checkpointer: BaseCheckpointSaver[Any],
        streams: StreamBroker,
        hub: SignalHub,
        metrics: Metrics,
        *,
        replica: str | None = None,
        lease_seconds: float,
        max_attempts: int,
        run_ttl_hours: float,
    ) -> None:
        self._storage = storage
        self._checkpointer = checkpointer
        self._streams = streams
        self._hub = hub
        self._metrics = metrics
        self._replica = replica
        self._pause = lease_seconds / REAPS_PER_LEASE
        self._max_attempts = max_attempts
        self._run_ttl_hours = run_ttl_hours

    async def reap_forever(self) -> None:
        """Reaps every half lease, jittered so that replicas don't do so at once."""
        await repeatedly("reaper", self.reap_once, self._pause, at_once=False, spread=0.3)

    async def reap_once(self) -> None:
        """Takes what dead replicas held and tells those who wait. Raises `StorageUnavailable`."""
        reaped = await self._storage.reap(self._max_attempts, self._replica)
        if not reaped:
            return
        self._metrics.reaped(len(reaped))
        for run in reaped:
            log.warning("run.reaped", run_id=run.run_id, status=run.status, attempt=run.attempt)
            if run.status != "pending":
                await self._ended(run)
        self._hub.announce(Signal("queued", ""))

    async def clean_forever(self) -> None:
        """Deletes what has outlived its time, once a minute."""
        await repeatedly("janitor", self.clean_once, JANITOR_SECONDS)

    async def clean_once(self) -> None:
        """Deletes the records of old runs, old audit trails, and what stateless runs left behind."""
        runs = await self._storage.expire_runs(self._run_ttl_hours)
        await self._storage.expire_audit(AUDIT_DAYS)
        left = await self.clear_spent(SPENT_SECONDS)
        if unserved := (await self._storage.depth()).unserved:
            log.warning("queue.unserved", graphs=dict(unserved))
        if runs or left:
            log.info("janitor.deleted", runs=runs, left_behind=left)

    async def clear_spent(self, older_than_seconds: float) -> int:
        """Deletes the checkpoints that stateless runs left behind because their replica died before it could;
        how many threads they were of."""
        spent = await self._storage.spent_threads(older_than_seconds)
        if spent:
            await clear(self._storage, self._checkpointer, spent)
        return len(spent)

    async def _ended(self, run: Run) -> None:
        await publish_failure(self._streams, run, "ReplicaLost", run.error or "its replica was lost")
        self._hub.announce(Signal("finished", run.run_id))
        if RunKwargs.from_json(run.kwargs).temporary:
            await clear(self._storage, self._checkpointer, [run.thread_id])
