"""Which question of a thread an answer goes to.

LangGraph gives an answer either to the next task that asks, or to the question with a given id. The id is
derived from the place of the question: its node and task, the enclosing subgraph's task, and in newer
versions the number of answered questions of the task. The same question has the same id later only if the
same tasks are created again: not in a subgraph that keeps no state (`checkpointer=False`), nor in one whose
state was changed by hand since it asked.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import count
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.types import Interrupt, PregelTask, StateSnapshot

from lgs_runtime.checkpoint.configs import checkpoint_config, namespace_of
from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.worker.command_marks import MOST_WITHOUT_STATE, ids_at
from lgs_runtime.worker.missing_nodes import INTERRUPT

INTERRUPT_ID: Final = re.compile("[0-9a-f]{32}")
OF_NOBODY: Final = "0" * 32
"""An id that no question has, used if no answer is left: an empty `resume` is no input to LangGraph."""


class UnknownInterruptError(Exception):
    """A run with `strict_resume` answers a question that is not waiting."""


def answers_by_id(resume: Any) -> bool:
    """Whether `resume` maps interrupt ids to answers. Anything else, also an empty object, is one answer."""
    return isinstance(resume, Mapping) and bool(resume) and all(map(INTERRUPT_ID.fullmatch, resume))


def refuse_unknown(command: Mapping[str, Any], waiting: Collection[str]) -> None:
    """Raises `UnknownInterruptError` if a command answers an interrupt that is not waiting. An object whose
    keys all look like interrupt ids answers those interrupts; anything else answers all waiting ones."""
    resume = command.get("resume")
    if resume is None:
        return
    if answers_by_id(resume):
        unknown = [name for name in resume if name not in waiting]
    else:
        unknown = [] if waiting else ["any"]
    if unknown:
        raise UnknownInterruptError(
            f"command.resume: {', '.join(unknown)}: must be an interrupt that waits for an answer"
        )


def without_answered(command: Mapping[str, Any], waiting: Collection[str]) -> Mapping[str, Any]:
    """The command without answers to ids of questions that are not waiting: LangGraph would give an answer to
    a task's first question, such as one that a client sends twice, to its next question."""
    resume: Any = command.get("resume")
    if not answers_by_id(resume) or all(name in waiting for name in resume):
        return command
    kept = {name: answer for name, answer in resume.items() if name in waiting}
    return {**command, "resume": kept or {OF_NOBODY: None}}


async def addressed(
    command: Mapping[str, Any],
    graph: Graph,
    checkpointer: BaseCheckpointSaver[Any],
    at: RunnableConfig,
    *,
    found: CheckpointTuple,
    state: StateSnapshot,
) -> Mapping[str, Any]:
    """The command; if it has one answer and the state one question, the answer is addressed by the question's
    id if the question will have the same id when it is asked again, and is given without an id otherwise.
    `found`, `state`: the checkpoint at `at`, and the graph's state there."""
    resume = command.get("resume")
    if resume is None or len(state.interrupts) != 1:
        return command
    [question] = state.interrupts
    by_id = answers_by_id(resume)
    if by_id and list(resume) != [question.id]:
        return command
    answer = resume[question.id] if by_id else resume
    if not await _recurs(question, graph, checkpointer, at, found=found, state=state):
        # LangGraph treats None as no answer.
        return command if answer is None or answers_by_id(answer) else {**command, "resume": answer}
    return {**command, "resume": {question.id: answer}}


async def _recurs(
    question: Interrupt,
    graph: Graph,
    checkpointer: BaseCheckpointSaver[Any],
    at: RunnableConfig,
    *,
    found: CheckpointTuple,
    state: StateSnapshot,
) -> bool:
    """Whether the question will have the same id when it is asked again."""
    [task] = (task for task in state.tasks if question in task.interrupts)
    place = _place("", task)
    if question.id in ids_at(place, task.id, found):
        return True
    thread_id = at["configurable"]["thread_id"]
    if task.state is not None:
        whole = await graph.aget_state(at, subgraphs=True)
        if await _asked_inside(question, checkpointer, whole, found):
            return True
        return await _asked_in_a_call(question, checkpointer, thread_id, place, first=1)
    askers = _askers(question, found)
    if len(askers) > 1:
        return True  # a task of the functional API, and the function that called it
    handler = getattr(graph.nodes.get(task.name), "error_handler_node", None)
    if any(question.id in ids_at(f"{place}|{handler}:{asker}", asker, found) for asker in askers):
        return True
    return await _asked_in_a_call(question, checkpointer, thread_id, place, first=0)


async def _asked_inside(
    question: Interrupt,
    checkpointer: BaseCheckpointSaver[Any],
    state: StateSnapshot,
    found: CheckpointTuple,
) -> bool:
    """Whether the question was asked by a task of a state, or of its subgraphs as they are now. `found`: the
    state's checkpoint."""
    for task in state.tasks:
        if question in task.interrupts:
            if question.id in ids_at(_place(namespace_of(state.config), task), task.id, found):
                return True
            if not isinstance(task.state, StateSnapshot):
                return False
            inside = await checkpointer.aget_tuple(task.state.config)
            return inside is not None and await _asked_inside(question, checkpointer, task.state, inside)
    return False


async def _asked_in_a_call(
    question: Interrupt, checkpointer: BaseCheckpointSaver[Any], thread_id: str, place: str, *, first: int
) -> bool:
    """Whether the question was asked in a graph that a node calls and that LangGraph does not discover: the
    first is stored at the node's own place, each later one at its number below it. `first`: the number to
    begin with. The node will call all of them again, so reading them here costs little in comparison."""
    without_state = 0
    for number in count(first):
        namespace = f"{place}|{number}" if number else place
        inside = await checkpointer.aget_tuple(checkpoint_config(thread_id, namespace))
        without_state = without_state + 1 if inside is None else 0
        if without_state > MOST_WITHOUT_STATE:
            break
        if inside is not None and _askers(question, inside):
            return True
    return False


def _place(namespace: str, task: PregelTask) -> str:
    place = f"{task.name}:{task.id}"
    return f"{namespace}|{place}" if namespace else place


def _askers(question: Interrupt, found: CheckpointTuple) -> Sequence[str]:
    """The ids of the tasks that asked the question, among a checkpoint's pending writes."""
    writes = found.pending_writes or ()
    return [
        task_id
        for task_id, channel, value in writes
        if channel == INTERRUPT and any(one.id == question.id for one in value)
    ]
