"""The runs of this replica: claims as many as there are free slots, executes them, and hands back what a
drain cuts.

Promises: a run that was given to this replica is finished, handed back, or left to the reaper when the lease
is lost, never forgotten. No claim is cut in the middle, since the runs it got would be nobody's until the
lease runs out.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import structlog
from langgraph.checkpoint.base import BaseCheckpointSaver

from lgs_runtime.breaker.machine import Result
from lgs_runtime.errors import LeaseLost, RollbackAsked, StorageUnavailable
from lgs_runtime.graphs.circuits import GraphCircuits, RunPermit
from lgs_runtime.graphs.registry import GraphRegistry
from lgs_runtime.metrics import Metrics
from lgs_runtime.model import CancelAction, Finished, Outcome, Run, Signal
from lgs_runtime.notifier import Notifier
from lgs_runtime.settings import Settings
from lgs_runtime.storage.contract import Storage
from lgs_runtime.streams.contract import StreamBroker
from lgs_runtime.worker.answers import AnswerCache
from lgs_runtime.worker.attempt import Attempt, HandBack, Stop
from lgs_runtime.worker.cancellations import Cancellations
from lgs_runtime.worker.claims import Claimed, Claims
from lgs_runtime.worker.cleanup import CheckpointCleanup
from lgs_runtime.worker.completer import Completer
from lgs_runtime.worker.execution import Executor
from lgs_runtime.worker.failures import result_of
from lgs_runtime.worker.publisher import Publisher
from lgs_runtime.worker.slots import SlotPermit, SlotPool

POLL_SECONDS = 1.0
RETRY_SECONDS = 0.5
IDLE_CLAIM_SECONDS = 0.02
BUSY_CLAIM_SECONDS = 0.005
RECHECK_SECONDS = 10.0
STOP_SECONDS = 5.0
log = structlog.get_logger(__name__)


class Worker:
    """Owned by `server.py`: `start`, then `drain` once."""

    def __init__(
        self,
        settings: Settings,
        *,
        storage: Storage,
        graphs: GraphRegistry,
        checkpointer: BaseCheckpointSaver[Any],
        streams: StreamBroker,
        notifier: Notifier,
        metrics: Metrics,
        circuits: GraphCircuits,
        answers: AnswerCache,
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._streams = streams
        self._notifier = notifier
        self._metrics = metrics
        self._executor = Executor(
            storage.assistants,
            graphs,
            checkpointer,
            metrics,
            answers,
            timeout_seconds=settings.run_timeout_seconds,
            max_attempts=settings.max_attempts,
        )
        self._completer = Completer(storage.queue, settings.replica_id, notifier, metrics)
        self._cleanup = CheckpointCleanup(storage.orphans, checkpointer)
        self._claims = Claims(storage.queue, settings.replica_id, graphs.ids, circuits)
        self._circuits = circuits
        circuits.listen(lambda *_: self._wake_up())
        self._attempts: dict[str, Attempt] = {}
        self._wake = asyncio.Event()
        self._stopped = False
        self._reconciled_at = float("-inf")
        self._lost = False
        self._unseen = True
        """Whether runs may wait that the last claim did not see: a slot that becomes free is a reason to
        claim."""
        self.slots = SlotPool(settings.concurrency, self._attempts.keys(), self._wake_up)
        self._loop: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()
        notifier.on_queued(self._wake_up)
        cancellations = Cancellations(
            storage.runs, self._attempts.keys(), self.stop_run, in_background=self._in_background
        )
        notifier.on_cancel(cancellations.asked)
        notifier.on_gap(cancellations.recheck)

    @property
    def replica(self) -> str:
        """The name under which this replica holds runs (`claim_for` of an enqueue)."""
        return self._settings.replica_id

    def running(self) -> int:
        """Runs that execute here now."""
        return len(self._attempts)

    def take(self, run: Run, permit: SlotPermit | None = None, admission: RunPermit | None = None) -> None:
        """Executes a run that this replica owns already: claimed, or inserted as claimed by `enqueue`, for
        which a slot was kept by `permit`, and which its graph's circuit has let through (`admission`)."""
        (permit or self.slots.claimed(run.run_id)).use()
        if self._stopped:
            if admission is not None:
                admission.give_back()
            self._in_background(self._release([run]))
            return
        claimed_at = run.claimed_at or datetime.now(UTC)
        self._metrics.claimed(run.priority, (claimed_at - run.due_at).total_seconds())
        attempt, before = Attempt(run), self._attempts.get(run.run_id)
        attempt.permit = admission or self._circuits.begin(run.graph_id)
        self._attempts[run.run_id] = attempt
        self._metrics.slots_in_use(self.slots.used)
        if run.cancel_requested is not None:
            attempt.stop(Stop(run.cancel_requested))
        attempt.task = asyncio.create_task(self._run_attempt(attempt, before), name=f"run-{run.run_id}")
        begins = Signal("thread", run.thread_id)
        self._notifier.announce(begins)
        self._storage.signals.send(begins)

    def stop_run(self, run_id: str, action: CancelAction) -> None:
        """Stops a run that executes here, as its client asked; one that does not is ignored."""
        if (attempt := self._attempts.get(run_id)) is not None:
            attempt.stop(Stop(action))

    def lease_lost(self) -> None:
        """Drops everything that executes here: the runs may be others' by now. Called when a renewal says
        so."""
        self.slots.doubtful = True
        self._claims.lease_lost()
        if self._lost and not self._attempts:
            return
        self._lost = True
        log.error("lease.lost", replica=self.replica, runs=len(self._attempts))
        self._metrics.lease_lost()
        for attempt in list(self._attempts.values()):
            attempt.stop(Stop.LOST)

    async def start(self) -> None:
        """Begins to claim. The lease must be held."""
        self.slots.open = True
        self._loop = asyncio.create_task(self._claim_loop(), name="claims")

    async def drain(self, seconds: float | None = None) -> int:
        """Stops claiming, lets running work finish, hands the rest back; returns how many were handed back.

        Half of the time goes by undisturbed; then runs stop at the end of the step they are in, so that no
        step runs twice; when the time is up, what still runs is cut.
        """
        budget = self._settings.drain_seconds if seconds is None else seconds
        self.slots.open = False
        self._metrics.draining()
        self._wake.set()
        if self._loop is not None:
            await self._loop
        handed_back = self._metrics.released_total
        await self._settle(budget / 2)
        for attempt in list(self._attempts.values()):
            attempt.control.request_drain("the replica stops")
        await self._settle(budget / 2)
        self._stopped = True
        for attempt in list(self._attempts.values()):
            attempt.stop(Stop.DRAIN)
        await self._settle(STOP_SECONDS)
        if stuck := [attempt.run for attempt in self._attempts.values()]:
            await self._release(stuck)
        await self._cleanup.close()
        await asyncio.gather(*self._background, return_exceptions=True)
        return self._metrics.released_total - handed_back

    async def _settle(self, seconds: float) -> None:
        """Waits until nothing executes, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while tasks := [a.task for a in self._attempts.values() if a.task is not None]:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    await asyncio.sleep(0)

    async def _claim_loop(self) -> None:
        while self.slots.open:
            self._wake.clear()
            try:
                await self._reconcile()
                free = self.slots.free
                runs = await self._claim(free) if free else ()
            except StorageUnavailable as gone:
                log.warning("claim.failed", reason=str(gone))
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for run, permit in runs:
                self.take(run, admission=permit)
            if free:
                # Neither a storm of signals with nothing to claim, nor slots that become free one after the
                # other, must become a storm of claims.
                await asyncio.sleep(BUSY_CLAIM_SECONDS if runs else IDLE_CLAIM_SECONDS)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLL_SECONDS * random.uniform(0.8, 1.2))

    async def _claim(self, slots: int) -> Sequence[Claimed]:
        # If the answer is lost on its way, the runs are ours without our knowing.
        self.slots.doubtful, self._unseen = True, False
        try:
            runs = await self._claims.claim(slots)
        except StorageUnavailable:
            self._unseen = True
            raise
        self.slots.doubtful = self._lost = False
        self._unseen = self._unseen or len(runs) >= slots
        return runs

    async def _reconcile(self) -> None:
        """Executes what is this replica's by the storage's account and nowhere to be found here: a claim
        whose answer was lost, a run that could not be handed back. Nobody else would take it while the lease
        lives. Also hears of cancellations whose signals were lost. No claim is under way meanwhile."""
        now = time.monotonic()
        if not self.slots.doubtful and now - self._reconciled_at < RECHECK_SECONDS:
            return
        self.slots.begin_count()
        try:
            held = await self._storage.queue.held(self.replica)
        finally:
            known = self.slots.end_count()
        self._reconciled_at, self.slots.doubtful = now, False
        for run in held:
            if run.run_id not in known:
                log.warning("run.found", run_id=run.run_id, attempt=run.attempt)
                self.take(run)
            elif run.cancel_requested is not None:
                self.stop_run(run.run_id, run.cancel_requested)

    async def _run_attempt(self, attempt: Attempt, before: Attempt | None) -> None:
        """One attempt from its claim to its end in the storage; after one of the same run `before` that was
        lost, and still cleans up here."""
        run = attempt.run
        if before is not None and before.task is not None:
            await asyncio.wait({before.task})
        publisher = Publisher(self._streams, self._metrics, run)
        structlog.contextvars.bind_contextvars(run_id=run.run_id, thread_id=run.thread_id)
        try:
            with self.slots.lending.held(run.thread_id):
                result = await self._executor.execute(attempt, publisher)
            if attempt.permit is not None:
                ignored = self._circuits.ignored(attempt.permit.circuit.name)
                attempt.permit.end(result_of(result, attempt, ignored))
            end = await self._complete(attempt, result, publisher) if isinstance(result, Outcome) else result
            if isinstance(end, Finished):
                self._ended(attempt, end)
            elif end is HandBack.RELEASE:
                await publisher.close()
                await self._release([run])
            else:
                await publisher.close()
        except LeaseLost:
            log.warning("run.lost", attempt=run.attempt)
            await publisher.close()
        except Exception as broken:
            # A fault of ours, or an end that can't be stored. The lease lives on, so nobody else would ever
            # take the run: it must end here, with the reason.
            log.exception("run.broke", attempt=run.attempt)
            said = f"{type(broken).__name__}: {broken}"
            if (finished := await self._completer.store_broken(attempt, said, publisher)) is not None:
                self._ended(attempt, finished)
        finally:
            if attempt.permit is not None:
                attempt.permit.end(Result.NEITHER)
            if self._attempts.get(run.run_id) is attempt:
                del self._attempts[run.run_id]
            self._metrics.slots_in_use(self.slots.used)
            if self._unseen:
                self._wake.set()

    async def _complete(
        self, attempt: Attempt, outcome: Outcome, publisher: Publisher
    ) -> Finished | HandBack:
        """Stores an end. That of a run that was asked to be rolled back in the meantime is another one."""
        try:
            return await self._completer.store(attempt, outcome, publisher)
        except RollbackAsked:
            undone = await self._executor.undo(attempt, publisher)
        if isinstance(undone, HandBack):
            return undone
        return await self._completer.store(attempt, undone, publisher)

    def _ended(self, attempt: Attempt, finished: Finished) -> None:
        """The end of an attempt is stored."""
        if finished.waiting:
            self._wake_up()
        self._executor.ended(attempt.run)
        if attempt.kwargs.temporary:
            self._cleanup.schedule(attempt.run.thread_id)

    async def _release(self, runs: list[Run]) -> None:
        try:
            await self._storage.queue.release(self.replica, runs)
        except (StorageUnavailable, LeaseLost) as gone:
            # They are found when the storage's account is looked at; the reaper brings them back if the lease
            # ends before.
            self.slots.doubtful = True
            log.warning("runs.not_released", reason=str(gone), runs=[run.run_id for run in runs])
            return
        self._metrics.released(len(runs))
        log.info("runs.released", runs=[run.run_id for run in runs])

    def _wake_up(self) -> None:
        self._unseen = True
        self._wake.set()

    def _in_background(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task
