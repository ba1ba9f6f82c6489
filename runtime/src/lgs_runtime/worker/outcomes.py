"""Outcomes of runs, from the state of their thread: the values that the thread keeps, and the answer that
clients get, which is the part of the values in the graph's output schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langgraph.types import StateSnapshot

from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.model import Json, Outcome, Run, given_out, questions, rooted, with_questions
from lgs_runtime.streams.json_encoding import to_json
from lgs_runtime.worker.missing_nodes import NodeNotFound
from lgs_runtime.worker.questions import UnknownInterruptError
from lgs_runtime.worker.resumption import ANSWER_CACHE, CheckpointNotFoundError


def outcome_of(graph: Graph, state: StateSnapshot, run: Run | None = None) -> Outcome:
    """The outcome of a run that ended by itself; if tasks are left, its thread waits for a person. `run`: the
    run, whose graph and assistant are noted in the thread."""
    interrupts = {task.id: to_json(task.interrupts) for task in state.tasks if task.interrupts}
    values = rooted(to_json(state.values))
    answer = output_of(graph, values)
    answer = given_out(answer) if state.tasks else answer
    return Outcome(
        status="success",
        thread_status="interrupted" if state.tasks else "idle",
        values=values,
        interrupts=interrupts,
        checkpoint_id=state.config["configurable"].get("checkpoint_id") if state.created_at else None,
        answer=None if answer is values else with_questions(answer, questions(interrupts)),
        thread_metadata=names_of(run) if run is not None else {},
    )


def names_of(run: Run) -> Json:
    """Metadata that a thread gets when this run has ended on it: the graph and the assistant."""
    return {"graph_id": run.graph_id, "assistant_id": run.assistant_id} if run.graph_id else {}


def marked(outcome: Outcome, state: StateSnapshot, run: Run) -> Outcome:
    """The outcome, marked for the run's record if the checkpoints say that its answer was cached."""
    metadata: Mapping[str, Any] = state.metadata or {}
    if ANSWER_CACHE not in metadata or metadata.get("run_id") != run.run_id:
        return outcome
    return replace(outcome, run_metadata={ANSWER_CACHE: metadata[ANSWER_CACHE]})


def of_nothing(failed: Outcome, raised: BaseException) -> Outcome:
    """The outcome of a run that failed with `raised`: if nothing of it was executed, its thread stays as it
    was, with its waiting questions."""
    if isinstance(raised, UnknownInterruptError | CheckpointNotFoundError):
        return replace(failed, thread_status="interrupted" if failed.interrupts else "idle")
    if isinstance(raised, NodeNotFound) and raised.questions:
        # The graph of this replica does not have the node that asked.
        questions = {task_id: to_json(asked) for task_id, asked in raised.questions.items()}
        return replace(failed, thread_status="interrupted", interrupts=questions)
    return failed


def alone(outcome: Outcome) -> Outcome:
    """The outcome of a run whose thread is deleted with it: its questions are put into the answer, as they
    would be lost otherwise."""
    asked = questions(outcome.interrupts)
    if not asked or outcome.answer is not None:
        return outcome
    return replace(outcome, answer=with_questions(outcome.values, asked))


def output_of(graph: Graph, values: Json) -> Json:
    """The part of the state's values in the graph's output; the same object if that is all of them."""
    wanted: Any = graph.output_channels
    if not isinstance(values, Mapping) or wanted == graph.stream_channels_asis:
        return values
    if isinstance(wanted, str):
        return rooted(values.get(wanted))
    output = {name: values[name] for name in wanted if name in values}
    return values if len(output) == len(values) else output
