"""Determines the outcome of an attempt that is over.

A graph that raises ends its run in `error`, and is not tried again. If the database of the checkpoints
becomes unreachable, that is not the graph's failure: the run is handed back and continues from its last
checkpoint.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import structlog
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.errors import GraphDrained

from lgs_runtime.checkpoint.failures import from_persistence
from lgs_runtime.checkpoint.savers import delete_run_checkpoints
from lgs_runtime.event_loop import RAISED, is_cancelled
from lgs_runtime.graphs.registry import GraphRegistry
from lgs_runtime.model import Outcome, Run
from lgs_runtime.storage.contract import Assistants
from lgs_runtime.tracebacks import text_of
from lgs_runtime.worker.attempt import Attempt, HandBack, Stop
from lgs_runtime.worker.missing_nodes import NodeNotFound
from lgs_runtime.worker.outcomes import names_of, of_nothing, outcome_of
from lgs_runtime.worker.publisher import Publisher
from lgs_runtime.worker.retry_budget import RetryBudget
from lgs_runtime.worker.run_config import build_config, graph_id_of
from lgs_runtime.worker.states import state_of

log = structlog.get_logger(__name__)


class AttemptEnds:
    """The ends of one replica's attempts. Remembers how often the database failed under each run."""

    def __init__(
        self,
        assistants: Assistants,
        graphs: GraphRegistry,
        checkpointer: BaseCheckpointSaver[Any],
        *,
        timeout_seconds: float,
        max_attempts: int,
        revision: str = "",
    ) -> None:
        self._assistants = assistants
        self._graphs = graphs
        self._checkpointer = checkpointer
        self._timeout_seconds = timeout_seconds
        self._retry_budget = RetryBudget(at_least=max_attempts)
        self._revision = revision

    async def of(self, attempt: Attempt, publisher: Publisher, *, timed_out: bool) -> Outcome | HandBack:
        """The outcome of an attempt whose graph has ended, or the way in which its run is handed back."""
        work = attempt.work
        try:
            if attempt.stopped is not None:
                return await self._stopped(attempt)
            if timed_out:
                return await self._timed_out(attempt, publisher)
            if work is None or not work.done() or work.cancelled():
                return await self._raised(
                    attempt, publisher, asyncio.CancelledError("the graph was cancelled")
                )
            if (raised := work.exception()) is not None:
                return await self._raised(attempt, publisher, raised)
            return work.result()
        except Exception as failed:
            if not from_persistence(failed):
                raise
            return await self._database_failed(attempt, publisher, failed)

    async def undone(self, attempt: Attempt, publisher: Publisher) -> Outcome | HandBack:
        """Like `of`, for an attempt that had ended already when the rollback of its run was requested."""
        attempt.stop(Stop.ROLLBACK)
        try:
            return await self._stopped(attempt)
        except Exception as failed:
            if not from_persistence(failed):
                raise
            return await self._database_failed(attempt, publisher, failed)

    def forget(self, run: Run) -> None:
        """Forgets a run whose end is stored."""
        self._retry_budget.ended(run.run_id)

    async def _stopped(self, attempt: Attempt) -> Outcome | HandBack:
        """The outcome of an attempt that was asked to stop, which depends on the reason."""
        run = attempt.run
        if attempt.stopped is Stop.LOST:
            return HandBack.DROP
        if attempt.stopped is Stop.DRAIN:
            # It may have ended just when the drain's time was up.
            work = attempt.work
            if work is not None and work.done() and not work.cancelled() and work.exception() is None:
                return work.result()
            return HandBack.RELEASE
        if undone := attempt.stopped is Stop.ROLLBACK:
            await delete_run_checkpoints(self._checkpointer, run.thread_id, run.run_id)
        at_end = await self._stored_outcome(attempt)
        return replace(at_end, status="interrupted", undone=undone)

    async def _raised(
        self, attempt: Attempt, publisher: Publisher, raised: BaseException
    ) -> Outcome | HandBack:
        if isinstance(raised, GraphDrained):
            return HandBack.RELEASE
        if from_persistence(raised):
            return await self._database_failed(attempt, publisher, raised)
        attempt.raised = raised
        name, said = type(raised).__name__, text_of(raised)
        if isinstance(raised, NodeNotFound) and self._revision:
            said = f"{said} (revision {self._revision})"
        log.warning("run.raised", error=name, message=said, exc_info=raised)
        await publisher.send("error", {"error": name, "message": said})
        failed = await self._failed(attempt, "error", f"{name}: {said}")
        return of_nothing(failed, raised)

    async def _timed_out(self, attempt: Attempt, publisher: Publisher) -> Outcome:
        said = f"run took longer than {self._timeout_seconds:g} s"
        await publisher.send("error", {"error": "TimeoutError", "message": said})
        return await self._failed(attempt, "timeout", said)

    async def _failed(self, attempt: Attempt, status: Any, error: str) -> Outcome:
        try:
            at_end = await self._stored_outcome(attempt)
        except RAISED as unreadable:
            if is_cancelled(unreadable):
                raise
            # The graph that raised may also be impossible to open; its run must end all the same.
            log.warning("run.state_unreadable", reason=text_of(unreadable))
            return Outcome(status, "error", error, thread_metadata=names_of(attempt.run))
        return replace(at_end, status=status, thread_status="error", error=error, checkpoint_id=None)

    async def _database_failed(
        self, attempt: Attempt, publisher: Publisher, raised: BaseException
    ) -> Outcome | HandBack:
        pause = self._retry_budget.failed(attempt.run.run_id, time.monotonic())
        log.warning("run.checkpoints_failed", reason=str(raised), next_try_seconds=pause)
        if attempt.lost:
            return HandBack.DROP
        if pause is not None:
            await asyncio.sleep(pause)
            return HandBack.RELEASE
        said = f"checkpoints could not be read or written: {raised}"
        await publisher.send("error", {"error": type(raised).__name__, "message": said})
        return Outcome("error", "error", said, thread_metadata=names_of(attempt.run))

    async def _stored_outcome(self, attempt: Attempt) -> Outcome:
        """The outcome according to the thread's checkpoints."""
        run, kwargs = attempt.run, attempt.kwargs
        if attempt.cached:
            # The checkpoints of an interrupted cached answer belong to another graph.
            await delete_run_checkpoints(self._checkpointer, run.thread_id, run.run_id)
        config = build_config(run, kwargs, await graph_id_of(run, kwargs, self._graphs.ids, self._assistants))
        async with self._graphs.open(config["metadata"]["graph_id"], config) as graph:
            return outcome_of(graph, await state_of(graph, config), run)
