"""One attempt of one run: builds what the graph needs, streams it, and says how it ended.

A graph that raises ends its run in `error`, and is not tried again. A database that goes away under the
checkpoints is not the graph's failure: the run is handed back and goes on from its last checkpoint.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any
from uuid import UUID

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.errors import GraphDrained

from lgs_runtime.auth.users import User
from lgs_runtime.checkpoint.failures import from_persistence
from lgs_runtime.checkpoint.savers import delete_run_checkpoints
from lgs_runtime.checkpoint.wrappers.attempt import CHECKPOINTER, AttemptSaver, may_write_behind
from lgs_runtime.encryption.context import encrypt_with
from lgs_runtime.errors import EncryptionFailed
from lgs_runtime.graphs.factories import caller
from lgs_runtime.graphs.registry import GraphRegistry
from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.metrics import Metrics
from lgs_runtime.model import Outcome, Run
from lgs_runtime.run_kwargs import ABOUT_THE_CALLER, RunKwargs, about_the_caller
from lgs_runtime.storage.contract import Assistants
from lgs_runtime.worker.attempt import Attempt, HandBack, Stop
from lgs_runtime.worker.context import context_for_factory, context_of
from lgs_runtime.worker.emission import Emitter, stream
from lgs_runtime.worker.outcomes import alone, outcome_of
from lgs_runtime.worker.publisher import Publisher
from lgs_runtime.worker.resumption import UnknownInterruptError, starting_point
from lgs_runtime.worker.retry_budget import RetryBudget
from lgs_runtime.worker.stream_v2 import stream_protocol

log = structlog.get_logger(__name__)


class Executor:
    """Executes attempts. Keeps nothing of a run besides how often the database failed under it."""

    def __init__(
        self,
        assistants: Assistants,
        graphs: GraphRegistry,
        checkpointer: BaseCheckpointSaver[Any],
        metrics: Metrics,
        *,
        timeout_seconds: float,
        max_attempts: int,
    ) -> None:
        self._assistants = assistants
        self._graphs = graphs
        self._checkpointer = checkpointer
        self._metrics = metrics
        self._timeout_seconds = timeout_seconds
        self._retry_budget = RetryBudget(at_least=max_attempts)

    async def execute(self, attempt: Attempt, publisher: Publisher) -> Outcome | HandBack:
        """Runs the graph until it ends, raises, is stopped or takes too long, and says what that means."""
        kwargs = attempt.kwargs
        caller.set(User(kwargs.user) if kwargs.user else None)
        encrypt_with(kwargs.encryption_context)
        timed_out = attempt.stopped is None and await self._until_over(attempt, publisher)
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

    async def _until_over(self, attempt: Attempt, publisher: Publisher) -> bool:
        """Runs the graph until it has ended, and its nodes have cleaned up if it was cancelled; whether it
        was cancelled here, because it took too long."""
        over = attempt.begin(self._run(attempt, publisher))
        await asyncio.wait({over}, timeout=self._timeout_seconds)
        timed_out = not (over.done() or attempt.cancelled)
        if timed_out:
            attempt.cancel()
        await over
        return timed_out

    async def undo(self, attempt: Attempt, publisher: Publisher) -> Outcome | HandBack:
        """How an attempt ends that has ended already when its run is asked to be rolled back."""
        attempt.stop(Stop.ROLLBACK)
        try:
            return await self._stopped(attempt)
        except Exception as failed:
            if not from_persistence(failed):
                raise
            return await self._database_failed(attempt, publisher, failed)

    def ended(self, run: Run) -> None:
        """Forgets a run whose end is stored."""
        self._retry_budget.ended(run.run_id)

    async def _run(self, attempt: Attempt, publisher: Publisher) -> Outcome:
        run, kwargs = attempt.run, attempt.kwargs
        if kwargs.unreadable is not None:
            raise EncryptionFailed(kwargs.unreadable)
        await publisher.send("metadata", {"run_id": run.run_id, "attempt": run.attempt})
        config = build_config(run, kwargs, await self._graph_id(run, kwargs))
        graph_id: str = config["metadata"]["graph_id"]
        async with self._graphs.open(
            graph_id, config, access="threads.create_run", context=context_for_factory(kwargs)
        ) as graph:
            attempt.opened = True
            if graph.context_schema is not None:
                kwargs = replace(kwargs, context=context_of(graph.context_schema, kwargs))
            write_behind = may_write_behind(graph.channels, kwargs.durability)
            assert isinstance(graph.checkpointer, BaseCheckpointSaver), "the registry attaches one"
            saver = attempt.saver = AttemptSaver(
                graph.checkpointer,
                run.thread_id,
                write_behind=write_behind,
                empty=kwargs.temporary and run.untouched,
            )
            config["configurable"][CHECKPOINTER] = saver
            try:
                outcome = await self._drive(graph, config, kwargs, attempt, publisher)
                if kwargs.temporary:
                    saver.abandon()
                else:
                    await saver.settle()
            finally:
                await saver.arrived()
            return alone(outcome) if kwargs.temporary else outcome

    async def _drive(
        self,
        graph: Graph,
        config: RunnableConfig,
        kwargs: RunKwargs,
        attempt: Attempt,
        publisher: Publisher,
    ) -> Outcome:
        """The graph from where it starts to where it ends, and what its thread is then."""
        start = await starting_point(graph, self._checkpointer, config, kwargs, attempt.run)
        if start.kind != "fresh":
            self._metrics.resumed()
            log.info("run.resumed", attempt=attempt.run.attempt, left=start.kind)
        if kwargs.protocol:
            state = await stream_protocol(
                graph, start, config, kwargs, publisher=publisher, control=attempt.control
            )
            return outcome_of(graph, state)
        if start.kind != "done":
            emitter = Emitter(publisher, kwargs)
            await stream(graph, start.input, start.config, kwargs, emitter=emitter, control=attempt.control)
        return outcome_of(graph, await graph.aget_state(config))

    async def _stopped(self, attempt: Attempt) -> Outcome | HandBack:
        """The attempt was asked to stop: what is left of it depends on who asked."""
        run = attempt.run
        if attempt.stopped is Stop.LOST:
            return HandBack.DROP
        if attempt.stopped is Stop.DRAIN:
            # It may have ended in the very moment in which the drain's time was up.
            work = attempt.work
            if work is not None and work.done() and not work.cancelled() and work.exception() is None:
                return work.result()
            return HandBack.RELEASE
        if undone := attempt.stopped is Stop.ROLLBACK:
            await delete_run_checkpoints(self._checkpointer, run.thread_id, run.run_id)
        at_end = await self._look(attempt)
        return replace(at_end, status="interrupted", undone=undone)

    async def _raised(
        self, attempt: Attempt, publisher: Publisher, raised: BaseException
    ) -> Outcome | HandBack:
        if isinstance(raised, GraphDrained):
            return HandBack.RELEASE
        if from_persistence(raised):
            return await self._database_failed(attempt, publisher, raised)
        attempt.raised = raised
        name, said = type(raised).__name__, str(raised)
        log.warning("run.raised", error=name, message=said, exc_info=raised)
        await publisher.send("error", {"error": name, "message": said})
        failed = await self._failed(attempt, "error", f"{name}: {said}")
        if isinstance(raised, UnknownInterruptError):
            # Nothing has run: the thread stays as it was, with the questions that wait in it.
            return replace(failed, thread_status="interrupted" if failed.interrupts else "idle")
        return failed

    async def _timed_out(self, attempt: Attempt, publisher: Publisher) -> Outcome:
        said = f"run took longer than {self._timeout_seconds:g} s"
        await publisher.send("error", {"error": "TimeoutError", "message": said})
        return await self._failed(attempt, "timeout", said)

    async def _failed(self, attempt: Attempt, status: Any, error: str) -> Outcome:
        try:
            at_end = await self._look(attempt)
        except Exception as unreadable:  # noqa: BLE001
            # The graph that raised may be one that can't be opened either; its run must end all the same.
            log.warning("run.state_unreadable", reason=str(unreadable))
            return Outcome(status, "error", error)
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
        return Outcome("error", "error", said)

    async def _look(self, attempt: Attempt) -> Outcome:
        """The thread as its checkpoints say."""
        run, kwargs = attempt.run, attempt.kwargs
        config = build_config(run, kwargs, await self._graph_id(run, kwargs))
        async with self._graphs.open(config["metadata"]["graph_id"], config) as graph:
            return outcome_of(graph, await graph.aget_state(config))

    async def _graph_id(self, run: Run, kwargs: RunKwargs) -> str:
        named = kwargs.config.get("configurable", {}).get("graph_id")
        if named in self._graphs.ids:
            return str(named)
        if run.graph_id is not None:
            return run.graph_id
        return (await self._assistants.get(run.assistant_id)).graph_id


def build_config(run: Run, kwargs: RunKwargs, graph_id: str) -> RunnableConfig:
    """The config of every attempt of a run. What names the run can't be overridden by its request."""
    ids = {
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "assistant_id": run.assistant_id,
        "graph_id": graph_id,
    }
    given = dict(kwargs.config)
    asked = about_the_caller(kwargs.user, kwargs.request_id)
    configurable = {**given.pop("configurable", {}), **ids, **asked, **_when(run)}
    # The client's own word counts, as on LangGraph's server: graphs know whom it may be about by the other.
    configurable["user_id"] = configurable.get("user_id") or asked["langgraph_auth_user_id"]
    for address in ("checkpoint_id", "checkpoint_ns", "checkpoint_map"):
        configurable.pop(address, None)
    said = {**run.thread_metadata, **run.metadata, **given.pop("metadata", {})}
    own = {name: value for name, value in said.items() if name not in ABOUT_THE_CALLER}
    metadata = {**own, **ids, "run_attempt": run.attempt}
    known = {name: given[name] for name in ("tags", "recursion_limit", "max_concurrency") if name in given}
    config: RunnableConfig = {
        "configurable": configurable,
        "metadata": metadata,
        "run_id": UUID(run.run_id),
        "run_name": graph_id,
    }
    config.update(known)  # type: ignore[typeddict-item]
    return config


def _when(run: Run) -> dict[str, int]:
    """When the run was asked for, and how long it was to wait."""
    return {
        "__request_start_time_ms__": int(run.created_at.timestamp() * 1000),
        "__after_seconds__": int((run.due_at - run.created_at).total_seconds()),
    }
