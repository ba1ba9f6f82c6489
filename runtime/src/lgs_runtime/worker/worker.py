"""The runs that execute on this replica, from the claim or request that starts each to the moment its end is
stored; and the drain, which hands back the runs that have not ended in time.

Each run that this replica takes is finished, handed back, or left to the reaper if the lease is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from langgraph.checkpoint.base import BaseCheckpointSaver

from lgs_runtime.breaker.state_machine import Result
from lgs_runtime.errors import LeaseLost, RollbackAsked, StorageUnavailable
from lgs_runtime.event_loop import RAISED, is_cancelled
from lgs_runtime.graphs.circuits import GraphCircuits, RunPermit
from lgs_runtime.graphs.registry import GraphRegistry
from lgs_runtime.metrics import Metrics
from lgs_runtime.model import CancelAction, Finished, Outcome, Run, Signal
from lgs_runtime.notifier import Notifier
from lgs_runtime.settings import Settings
from lgs_runtime.storage.contract import Storage
from lgs_runtime.streams.contract import StreamBroker
from lgs_runtime.tracebacks import named_text
from lgs_runtime.worker.answers import AnswerCache
from lgs_runtime.worker.attempt import Attempt, HandBack, Stop
from lgs_runtime.worker.cancellations import Cancellations
from lgs_runtime.worker.claim_loop import ClaimLoop
from lgs_runtime.worker.claims import Claims
from lgs_runtime.worker.cleanup import CheckpointCleanup
from lgs_runtime.worker.completer import Completer
from lgs_runtime.worker.execution import Executor
from lgs_runtime.worker.failures import result_of
from lgs_runtime.worker.publisher import Publisher
from lgs_runtime.worker.slots import SlotPermit, SlotPool
from lgs_runtime.worker.traced import trace_begin, trace_close, trace_end

if TYPE_CHECKING:
    from lgs_runtime.tracing.tracer import Tracing

STOP_SECONDS = 5.0
TELL_SECONDS = 0.5
log = structlog.get_logger(__name__)


class Worker:
    """Executes runs. `server.py` calls `start`, then `drain` once."""

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
        lease_held: Callable[[], bool],
        tracing: Tracing | None = None,
    ) -> None:
        self._settings = settings
        self._tracing = tracing
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
            revision=settings.revision,
        )
        self._completer = Completer(storage.queue, settings.replica_id, notifier, metrics)
        self._cleanup = CheckpointCleanup(storage.orphans, checkpointer)
        self._circuits = circuits
        self._attempts: dict[str, Attempt] = {}
        self._claims = False
        self._stopped = False
        self._background: set[asyncio.Task[None]] = set()
        self.slots = SlotPool(settings.concurrency, self._attempts.keys(), self._wake_up)
        metrics.watch_slots(lambda: self.slots.used)
        claims = Claims(storage.queue, settings.replica_id, graphs.ids, circuits)
        self._claim_loop = ClaimLoop(
            storage.queue, settings.replica_id, claims, self.slots, self, lease_held=lease_held
        )
        circuits.listen(lambda *_: self._wake_up())
        notifier.on_queued(self._wake_up)
        cancellations = Cancellations(
            storage.runs, self._attempts.keys(), self.stop_run, in_background=self._in_background
        )
        notifier.on_cancel(cancellations.asked)
        notifier.on_gap(cancellations.recheck)

    @property
    def replica(self) -> str:
        """The id under which this replica holds runs (`claim_for` of an enqueue)."""
        return self._settings.replica_id

    def running(self) -> int:
        """The number of runs that execute here now."""
        return len(self._attempts)

    def take(self, run: Run, permit: SlotPermit | None = None, admission: RunPermit | None = None) -> None:
        """Executes a run that this replica holds already: claimed, or stored as claimed by `enqueue`.
        `permit`: the slot reserved for it; `admission`: the permit of its graph's circuit breaker."""
        (permit or self.slots.claimed(run.run_id)).use()
        if self._stopped:
            if admission is not None:
                admission.give_back()
            self._in_background(self._release([run]))
            return
        claimed_at = run.claimed_at or datetime.now(UTC)
        attempt, before = Attempt(run), self._attempts.get(run.run_id)
        if self._tracing is not None:
            attempt.trace = self._tracing.attempt(run)
        self._metrics.claimed(
            run.priority,
            (claimed_at - run.due_at).total_seconds(),
            None if attempt.trace is None else attempt.trace.exemplar,
        )
        attempt.permit = admission or self._circuits.begin(run.graph_id)
        self._attempts[run.run_id] = attempt
        if run.cancel_requested is not None:
            attempt.stop(Stop(run.cancel_requested))
        attempt.task = asyncio.create_task(self._run_attempt(attempt, before), name=f"run-{run.run_id}")
        begins = Signal("thread", run.thread_id)
        self._notifier.announce(begins)
        self._storage.signals.send(begins)

    def stop_run(self, run_id: str, action: CancelAction) -> None:
        """Stops a run at its client's request; does nothing if it does not execute here."""
        if (attempt := self._attempts.get(run_id)) is not None:
            attempt.stop(Stop(action))

    def lease_lost(self) -> None:
        """Stops everything that executes here, since the runs may belong to other replicas by now. Called
        when the lease was not renewed in time, or its renewal was refused."""
        if not self._claims:
            # The lease is a new one: until told otherwise, other replicas assume that this one claims.
            self._in_background(self._tell())
        known = self._claim_loop.lease_doubtful
        self._claim_loop.lease_lost()
        if known and not self._attempts:
            return
        log.error("lease.lost", replica=self.replica, runs=len(self._attempts))
        self._metrics.lease_lost()
        for attempt in list(self._attempts.values()):
            attempt.stop(Stop.LOST)

    async def start(self) -> None:
        """Begins to claim. The lease must be held."""
        await self._claim(True)
        self._claim_loop.start()

    async def drain(self, seconds: float | None = None) -> int:
        """Stops claiming, lets running work finish, hands the rest back; returns how many were handed back.

        In the first half of the time, runs may finish. Then they stop at the end of their current step, so
        that no step runs twice. When the time is up, those that still run are cancelled.
        """
        budget = self._settings.drain_seconds if seconds is None else seconds
        self.slots.open = False
        self._metrics.draining()
        await self._claim_loop.stop()
        await self._claim(False)
        handed_back = self._metrics.released_total
        await self._settle(budget / 2)
        for attempt in list(self._attempts.values()):
            attempt.control.request_drain("the replica stops")
        await self._settle(budget / 2)
        self._stopped = True
        for attempt in list(self._attempts.values()):
            attempt.stop(Stop.DRAIN)
        await self._settle(STOP_SECONDS)
        if stuck := list(self._attempts.values()):
            for attempt in stuck:
                trace_end(attempt, HandBack.RELEASE)
            await self._release([attempt.run for attempt in stuck])
        await self._cleanup.close()
        await asyncio.gather(*self._background, return_exceptions=True)
        return self._metrics.released_total - handed_back

    async def _claim(self, claims: bool) -> None:
        """Sets whether this replica claims, and tells the storage; waits for that only a moment."""
        self._claims = claims
        await asyncio.wait({self._in_background(self._tell())}, timeout=TELL_SECONDS)

    async def _tell(self) -> None:
        """Tells the storage whether this replica claims, retrying until it answers: the shares of runs
        between a canary and the other replicas must not be left to one that claims nothing."""
        while not self._stopped:
            tell = self._storage.queue.join if self._claims else self._storage.queue.leave
            try:
                await tell(self.replica)
                break
            except Exception as failed:  # noqa: BLE001 - told sooner or later, whatever it was
                log.warning("replica.untold", claims=self._claims, reason=repr(failed))
                await asyncio.sleep(TELL_SECONDS)

    async def _settle(self, seconds: float) -> None:
        """Waits until nothing executes, at most `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while tasks := [a.task for a in self._attempts.values() if a.task is not None]:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    await asyncio.sleep(0)

    async def _run_attempt(self, attempt: Attempt, before: Attempt | None) -> None:
        """Executes one attempt, from its claim until its end is stored. `before`: an attempt of the same run
        that lost the lease and still cleans up here; it is waited for."""
        run = attempt.run
        if before is not None and before.task is not None:
            await asyncio.wait({before.task})
        publisher = Publisher(self._streams, self._metrics, run)
        structlog.contextvars.bind_contextvars(run_id=run.run_id, thread_id=run.thread_id)
        trace_begin(attempt)
        try:
            with self.slots.lending.held(run.thread_id):
                result = await self._executor.execute(attempt, publisher)
            if attempt.permit is not None:
                ignored = self._circuits.ignored(attempt.permit.circuit.name)
                attempt.permit.end(result_of(result, attempt, ignored))
            end = await self._complete(attempt, result, publisher) if isinstance(result, Outcome) else result
            trace_end(attempt, result)
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
        except RAISED as broken:
            if is_cancelled(broken):
                raise
            # A bug of ours, or an end that can't be stored. This replica keeps its lease, so no other takes
            # the run: it must end here, with the reason.
            log.exception("run.broke", attempt=run.attempt)
            trace_end(attempt, Outcome("error"))
            said = named_text(broken)
            if (finished := await self._completer.store_broken(attempt, said, publisher)) is not None:
                self._ended(attempt, finished)
        finally:
            if attempt.permit is not None:
                attempt.permit.end(Result.NEITHER)
            trace_close(attempt)
            if self._attempts.get(run.run_id) is attempt:
                del self._attempts[run.run_id]
            self._claim_loop.slot_freed()

    async def _complete(
        self, attempt: Attempt, outcome: Outcome, publisher: Publisher
    ) -> Finished | HandBack:
        """Stores the end of a run. If a rollback was requested in the meantime, the run is rolled back and
        that end is stored."""
        try:
            return await self._completer.store(attempt, outcome, publisher)
        except RollbackAsked:
            undone = await self._executor.undo(attempt, publisher)
        if isinstance(undone, HandBack):
            return undone
        return await self._completer.store(attempt, undone, publisher)

    def _ended(self, attempt: Attempt, finished: Finished) -> None:
        """Follows up an attempt whose end is stored."""
        if finished.waiting:
            self._wake_up()
        self._executor.ended(attempt.run)
        if attempt.kwargs.temporary:
            self._cleanup.schedule(attempt.run.thread_id)

    async def _release(self, runs: list[Run]) -> None:
        try:
            await self._storage.queue.release(self.replica, runs)
        except (StorageUnavailable, LeaseLost) as gone:
            # The claim loop finds them among the runs that the storage has as this replica's; if the lease
            # ends before, the reaper takes them.
            self.slots.doubtful = True
            log.warning("runs.not_released", reason=str(gone), runs=[run.run_id for run in runs])
            return
        self._metrics.released(len(runs))
        log.info("runs.released", runs=[run.run_id for run in runs])

    def _wake_up(self) -> None:
        self._claim_loop.wake_up()

    def _in_background(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task
