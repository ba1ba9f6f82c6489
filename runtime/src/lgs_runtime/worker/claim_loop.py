"""The claim loop of a replica: claims as many runs as there are free slots, and finds runs that the storage
has recorded as this replica's but that do not execute here.

A claim is never cancelled: nobody would execute the runs in its answer until the lease ends.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

import structlog

from lgs_runtime.graphs.circuits import RunPermit
from lgs_runtime.model import CancelAction, Run
from lgs_runtime.periodic import log_failure
from lgs_runtime.storage.contract import Queue
from lgs_runtime.worker.claims import Claimed, Claims
from lgs_runtime.worker.slots import SlotPool

POLL_SECONDS: Final = 1.0
RETRY_SECONDS = 0.5
IDLE_CLAIM_SECONDS: Final = 0.02
BUSY_CLAIM_SECONDS: Final = 0.005
RECHECK_SECONDS = 10.0
log = structlog.get_logger(__name__)


class Attempts(Protocol):
    """Executes the claimed runs."""

    def take(self, run: Run, *, admission: RunPermit | None = None) -> None:
        """Executes a run that this replica holds."""

    def stop_run(self, run_id: str, action: CancelAction) -> None:
        """Stops a run that executes here."""


class ClaimLoop:
    """Claims runs. Owned by the worker: `start`, then `stop` once."""

    def __init__(
        self,
        queue: Queue,
        replica: str,
        claims: Claims,
        slots: SlotPool,
        attempts: Attempts,
        *,
        lease_held: Callable[[], bool],
    ) -> None:
        """`lease_held`: whether the lease is known to be held now."""
        self._queue = queue
        self._replica = replica
        self._claims = claims
        self._slots = slots
        self._attempts = attempts
        self._lease_held = lease_held
        self._wake = asyncio.Event()
        self._reconciled_at = float("-inf")
        self._more_waiting = True
        """Whether runs may wait that the last claim did not get: then a freed slot is a reason to claim."""
        self.lease_doubtful = False
        """Whether the lease was lost and no claim has succeeded since."""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to claim. The lease must be held."""
        self._slots.open = True
        self._task = asyncio.create_task(self._run(), name="claims")

    async def stop(self) -> None:
        """Ends after the claim in progress. The slots must be closed already."""
        self._wake.set()
        if self._task is not None:
            await self._task

    def wake_up(self) -> None:
        """Wakes the loop, as a run may be claimable, or a kept or lent slot has become free."""
        self._more_waiting = True
        self._wake.set()

    def slot_freed(self) -> None:
        """Notes that a run has ended; wakes the loop if more may be waiting."""
        if self._more_waiting:
            self._wake.set()

    def lease_lost(self) -> None:
        """Notes that the lease was lost: the runs of this replica may belong to others by now."""
        self._slots.doubtful = self.lease_doubtful = True
        self._claims.lease_lost()

    async def _run(self) -> None:
        while self._slots.open:
            self._wake.clear()
            try:
                await self._reconcile()
                free = self._slots.free
                runs = await self._claim(free) if free else ()
            # A loop that ended would leave a replica that appears ready, and claims nothing for ever.
            except Exception as failed:  # noqa: BLE001
                log_failure("claim", failed)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for run, permit in runs:
                self._attempts.take(run, admission=permit)
            if free:
                # Without a pause, each of many signals with nothing to claim, and each of several slots that
                # become free one after the other, would cause a claim.
                await asyncio.sleep(BUSY_CLAIM_SECONDS if runs else IDLE_CLAIM_SECONDS)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLL_SECONDS * random.uniform(0.8, 1.2))

    async def _claim(self, slots: int) -> Sequence[Claimed]:
        # If the answer is lost on its way, this replica holds runs that it does not know of.
        self._slots.doubtful, self._more_waiting = True, False
        try:
            runs = await self._claims.claim(slots)
        except Exception:
            self._more_waiting = True
            raise
        self._slots.doubtful = self.lease_doubtful = False
        self._more_waiting = self._more_waiting or len(runs) >= slots
        return runs

    async def _reconcile(self) -> None:
        """Executes the runs that the storage has recorded as this replica's but that do not execute here:
        those of a claim whose answer was lost, and those that could not be handed back. No other replica
        takes them while the lease is held. Also stops runs whose cancellation signal was lost. No claim is in
        progress meanwhile."""
        if not self._lease_held():
            # For example, the database answers but accepts no writes: a step would run, could not be stored,
            # and would run again here or elsewhere.
            return
        now = time.monotonic()
        if not self._slots.doubtful and now - self._reconciled_at < RECHECK_SECONDS:
            return
        self._slots.begin_count()
        try:
            held = await self._queue.held(self._replica)
        finally:
            known = self._slots.end_count()
        self._reconciled_at, self._slots.doubtful = now, False
        for run in held:
            if run.run_id not in known:
                log.warning("run.found", run_id=run.run_id, attempt=run.attempt)
                self._attempts.take(run)
            elif run.cancel_requested is not None:
                self._attempts.stop_run(run.run_id, run.cancel_requested)
