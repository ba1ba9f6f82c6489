"""Executes one attempt of one run: prepares what the graph needs, and streams it until it is over.
`attempt_ends` determines the outcome.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from lgs_runtime.auth.users import User
from lgs_runtime.checkpoint.wrappers.attempt import CHECKPOINTER, may_write_behind
from lgs_runtime.encryption.context import encrypt_with
from lgs_runtime.errors import EncryptionFailed
from lgs_runtime.graphs.factories import caller
from lgs_runtime.graphs.registry import GraphRegistry
from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.metrics import Metrics
from lgs_runtime.model import Outcome, Run
from lgs_runtime.run_kwargs import RunKwargs
from lgs_runtime.storage.contract import Assistants
from lgs_runtime.worker.answer_graph import answer
from lgs_runtime.worker.answers import HIT, AnswerCache, Question
from lgs_runtime.worker.attempt import Attempt, HandBack
from lgs_runtime.worker.attempt_ends import AttemptEnds
from lgs_runtime.worker.context import context_for_factory, context_of
from lgs_runtime.worker.emission import Emitter, stream
from lgs_runtime.worker.outcomes import alone, marked, outcome_of
from lgs_runtime.worker.publisher import Publisher
from lgs_runtime.worker.resumption import (
    ANSWER_CACHE,
    REVISION,
    Start,
    latest_of,
    starting_point,
)
from lgs_runtime.worker.run_config import build_config, graph_id_of
from lgs_runtime.worker.states import state_of
from lgs_runtime.worker.stream_v2 import ProtocolEmitter, stream_protocol

log = structlog.get_logger(__name__)


class Executor:
    """Executes attempts. Keeps no state of a run, except how often the database failed under it."""

    def __init__(
        self,
        assistants: Assistants,
        graphs: GraphRegistry,
        checkpointer: BaseCheckpointSaver[Any],
        metrics: Metrics,
        answers: AnswerCache,
        *,
        timeout_seconds: float,
        max_attempts: int,
        revision: str = "",
    ) -> None:
        """`revision`: the replica's, if it has one; runs and their checkpoints are marked with it."""
        self._assistants = assistants
        self._graphs = graphs
        self._checkpointer = checkpointer
        self._metrics = metrics
        self._answers = answers
        self._timeout_seconds = timeout_seconds
        self._ends = AttemptEnds(
            assistants,
            graphs,
            checkpointer,
            timeout_seconds=timeout_seconds,
            max_attempts=max_attempts,
            revision=revision,
        )
        self._revision = revision

    async def execute(self, attempt: Attempt, publisher: Publisher) -> Outcome | HandBack:
        """Runs the graph until it ends, raises, is stopped or takes too long; returns the outcome, or how the
        run is handed back."""
        outcome = await self._executed(attempt, publisher)
        if not self._revision or isinstance(outcome, HandBack):
            return outcome
        return replace(outcome, run_metadata={**outcome.run_metadata, REVISION: self._revision})

    async def _executed(self, attempt: Attempt, publisher: Publisher) -> Outcome | HandBack:
        kwargs = attempt.kwargs
        caller.set(User(kwargs.user) if kwargs.user else None)
        encrypt_with(kwargs.encryption_context)
        timed_out = attempt.stopped is None and await self._until_over(attempt, publisher)
        return await self._ends.of(attempt, publisher, timed_out=timed_out)

    async def _until_over(self, attempt: Attempt, publisher: Publisher) -> bool:
        """Runs the graph until it has ended, and its nodes have cleaned up if it was cancelled. Returns
        whether it was cancelled here because it took too long."""
        over = attempt.begin(self._run(attempt, publisher))
        await asyncio.wait({over}, timeout=self._timeout_seconds)
        timed_out = not (over.done() or attempt.cancelled)
        if timed_out:
            attempt.cancel()
        await over
        return timed_out

    async def undo(self, attempt: Attempt, publisher: Publisher) -> Outcome | HandBack:
        """The outcome of an attempt that had ended already when the rollback of its run was requested."""
        return await self._ends.undone(attempt, publisher)

    def ended(self, run: Run) -> None:
        """Forgets a run whose end is stored."""
        self._ends.forget(run)

    async def _run(self, attempt: Attempt, publisher: Publisher) -> Outcome:
        run, kwargs = attempt.run, attempt.kwargs
        if kwargs.unreadable is not None:
            raise EncryptionFailed(kwargs.unreadable)
        await publisher.send("metadata", {"run_id": run.run_id, "attempt": run.attempt})
        graph_id = await graph_id_of(run, kwargs, self._graphs.ids, self._assistants)
        config = build_config(run, kwargs, graph_id, self._revision)
        self._metrics.models.follow(graph_id, kwargs.user)
        async with self._graphs.open(
            graph_id, config, access="threads.create_run", context=context_for_factory(kwargs)
        ) as graph:
            attempt.opened = True
            if graph.context_schema is not None:
                kwargs = replace(kwargs, context=context_of(graph.context_schema, kwargs))
            write_behind = may_write_behind(graph.channels, kwargs.durability)
            assert isinstance(graph.checkpointer, BaseCheckpointSaver), "the registry attaches one"
            saver = attempt.saver = attempt.saver_class(
                graph.checkpointer,
                run.thread_id,
                write_behind=write_behind,
                empty=kwargs.temporary and run.untouched,
            )
            config["configurable"][CHECKPOINTER] = saver
            if attempt.trace is not None:
                attempt.trace.follow(saver, config)
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
        """Runs the graph from its starting point to its end; returns the outcome for the thread."""
        start = await starting_point(graph, self._checkpointer, config, kwargs, attempt.run)
        if start.kind != "fresh":
            self._metrics.resumed()
            log.info("run.resumed", attempt=attempt.run.attempt, left=start.kind)
        question = await self._question(graph, start, config, kwargs, attempt)
        found = None if question is None else await self._answers.find(question)
        if found is not None:
            attempt.cached = True
            answer.set(found.values)
            config["metadata"][ANSWER_CACHE] = HIT
            graph = found.graph
        outcome = await self._finished(graph, start, config, kwargs, attempt, publisher=publisher)
        if question is not None and found is None and outcome.thread_status == "idle":
            await self._answers.keep(question, await self._latest(attempt, config))
        return outcome

    async def _question(
        self, graph: Graph, start: Start, config: RunnableConfig, kwargs: RunKwargs, attempt: Attempt
    ) -> Question | None:
        """The question that the answer of this run is cached under; None if it may not be cached, or the run
        is not the first of its thread."""
        if start.kind != "fresh":
            return None
        question = self._answers.question(config["metadata"]["graph_id"], graph, attempt.run, kwargs)
        if question is None or await self._latest(attempt, config) is not None:
            return None
        return question

    async def _finished(
        self,
        graph: Graph,
        start: Start,
        config: RunnableConfig,
        kwargs: RunKwargs,
        attempt: Attempt,
        *,
        publisher: Publisher,
    ) -> Outcome:
        control = attempt.control
        if kwargs.speaks_protocol:
            emitter = ProtocolEmitter(publisher, whole_messages=attempt.cached)
            state = await stream_protocol(graph, start, config, kwargs, emitter=emitter, control=control)
        else:
            if start.kind != "done":
                of_modes = Emitter(publisher, kwargs)
                await stream(graph, start.input, start.config, kwargs, emitter=of_modes, control=control)
            state = await state_of(graph, config)
        return marked(outcome_of(graph, state, attempt.run), state, attempt.run)

    async def _latest(self, attempt: Attempt, config: RunnableConfig) -> CheckpointTuple | None:
        """The latest checkpoint of the attempt's thread, read through its saver; None if there is none."""
        assert attempt.saver is not None
        return await attempt.saver.aget_tuple(latest_of(config))
