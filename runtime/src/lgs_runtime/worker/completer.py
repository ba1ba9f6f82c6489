"""Stores the end of an attempt, however long that takes, and notifies the waiters of its run.

It gives up only when the lease is lost: the result of a run must not be lost because the database is briefly
unreachable, and a run that is held but not in progress would be found, and its graph executed again.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import structlog

from lgs_runtime.backoff import Backoff
from lgs_runtime.errors import LeaseLost, StorageUnavailable
from lgs_runtime.metrics import Metrics
from lgs_runtime.model import Finished, Outcome, Run, Signal, questions, with_questions
from lgs_runtime.notifier import Notifier
from lgs_runtime.storage.contract import Queue
from lgs_runtime.worker.attempt import Attempt
from lgs_runtime.worker.failures import failure_of
from lgs_runtime.worker.publisher import Publisher

RETRY_SECONDS = 0.5
BACKOFF = Backoff(first_seconds=RETRY_SECONDS, longest_seconds=60.0)
log = structlog.get_logger(__name__)


class Completer:
    """Stores the ends of one replica's attempts."""

    def __init__(self, queue: Queue, replica: str, notifier: Notifier, metrics: Metrics) -> None:
        self._queue = queue
        self._replica = replica
        self._notifier = notifier
        self._metrics = metrics

    async def store(self, attempt: Attempt, outcome: Outcome, publisher: Publisher) -> Finished:
        """Stores how a run ended, ends its stream, and notifies its waiters. Raises `LeaseLost`."""
        finished = await self._stored(attempt, outcome)
        run, now = attempt.run, datetime.now(UTC)
        seconds = (now - (run.claimed_at or now)).total_seconds()
        graph_id = run.graph_id or str(outcome.thread_metadata.get("graph_id", ""))
        self._metrics.graphs.ended(graph_id, outcome.status, seconds, failure_of(outcome, attempt))
        self._metrics.finished(
            outcome.status,
            seconds,
            (now - run.due_at).total_seconds(),
            None if attempt.trace is None else attempt.trace.exemplar,
        )
        log.info("run.finished", status=outcome.status, attempt=run.attempt, error=outcome.error)
        await publisher.end()
        if finished.kept and outcome.error is None:
            self._notifier.ended_here(_ended(run, outcome, now))
        else:
            self._notifier.announce(Signal("finished", run.run_id))
        return finished

    async def store_broken(self, attempt: Attempt, said: str, publisher: Publisher) -> Finished | None:
        """Stores that a run broke, retrying at growing intervals; None if the lease is lost before."""
        # The run must end, even if a rollback was requested meanwhile: it counts as undone.
        for failures in count(1):
            try:
                return await self.store(attempt, Outcome("error", "error", said, undone=True), publisher)
            except LeaseLost:
                return None
            except Exception:
                pause = BACKOFF.pause(failures)
                log.exception("run.end_refused", attempt=attempt.run.attempt, again_in_seconds=pause)
                # The database may have refused the text of the message.
                said = "the end of the run could not be stored; the log of its replica has the reason"
            await asyncio.sleep(pause)
        raise AssertionError("it is tried for ever")

    async def _stored(self, attempt: Attempt, outcome: Outcome) -> Finished:
        while True:
            try:
                return await self._queue.finish(attempt.run, self._replica, outcome)
            except StorageUnavailable as gone:
                log.warning("run.finish_waits", reason=str(gone))
                if attempt.lost:
                    raise LeaseLost(
                        f"run {attempt.run.run_id}: its lease ran out before its end was stored"
                    ) from gone
                await asyncio.sleep(RETRY_SECONDS)


def _ended(run: Run, outcome: Outcome, now: datetime) -> Run:
    """A run that ended without an error, as stored, with its answer if that is known. (The text of an error
    may have been changed by the storage.)"""
    result = outcome.answer
    if result is None and outcome.values is not None and outcome.interrupts is not None:
        result = with_questions(outcome.values, questions(outcome.interrupts))
    metadata = {**run.metadata, **outcome.run_metadata}
    return replace(run, status=outcome.status, error=None, result=result, updated_at=now, metadata=metadata)
