"""To which question of a thread an answer goes.

LangGraph gives an answer to whoever asks next, or to the question of an id. The id is made of where the
question is asked: node and task, inside of which subgraph's task. It is that of the same question later only
where the same tasks are made again: not in a subgraph that keeps no state (`checkpointer=False`), nor in one
whose state was changed by hand since it asked.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.types import Interrupt, PregelTask, StateSnapshot

from lgs_runtime.checkpoint.configs import checkpoint_config, namespace_of
from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.worker.missing_nodes import INTERRUPT

INTERRUPT_ID: Final = re.compile("[0-9a-f]{32}")


class UnknownInterruptError(Exception):
    """A run with `strict_resume` answers a question that does not wait."""


def answers_by_id(resume: Any) -> bool:
    """Whether it is answers by the ids of their interrupts, not one answer. An empty object is one answer."""
    return isinstance(resume, Mapping) and bool(resume) and all(map(INTERRUPT_ID.fullmatch, resume))


def refuse_unknown(command: Mapping[str, Any], waiting: Collection[str]) -> None:
    """Raises `UnknownInterruptError` for a command that answers an interrupt that does not wait. An object
    whose keys all have the form of ids of interrupts answers those; anything else answers all that wait."""
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


async def addressed(
    command: Mapping[str, Any],
    graph: Graph,
    checkpointer: BaseCheckpointSaver[Any],
    at: RunnableConfig,
    *,
    found: CheckpointTuple,
    state: StateSnapshot,
) -> Mapping[str, Any]:
    """The command, with its one answer to the one question of a state by the question's id, if the question
    will be asked under that id again; and else not by it. `found`, `state`: the checkpoint at `at`."""
    resume = command.get("resume")
    if resume is None or len(state.interrupts) != 1:
        return command
    [question] = state.interrupts
    by_id = answers_by_id(resume)
    if by_id and list(resume) != [question.id]:
        return command
    answer = resume[question.id] if by_id else resume
    if not await _recurs(question, graph, checkpointer, at, found=found, state=state):
        # LangGraph takes None for no answer.
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
    """Whether the question will have its id when it is asked again."""
    [task] = (task for task in state.tasks if question in task.interrupts)
    if question.id == _id_in("", task):
        return True
    if task.state is not None:
        return _asked_inside(question, await graph.aget_state(at, subgraphs=True))
    if len(_askers(question, found)) > 1:
        return True  # a task of the functional API, and the function that called it
    namespace = f"{task.name}:{task.id}"
    inside = await checkpointer.aget_tuple(checkpoint_config(at["configurable"]["thread_id"], namespace))
    return inside is not None and bool(_askers(question, inside))


def _asked_inside(question: Interrupt, state: StateSnapshot) -> bool:
    """Whether the question is that of a task of a state, or of its subgraphs as they are now."""
    namespace = namespace_of(state.config)
    for task in state.tasks:
        if question in task.interrupts:
            inside = task.state
            if question.id == _id_in(namespace, task):
                return True
            return isinstance(inside, StateSnapshot) and _asked_inside(question, inside)
    return False


def _id_in(namespace: str, task: PregelTask) -> str:
    place = f"{task.name}:{task.id}"
    return Interrupt.from_ns(None, f"{namespace}|{place}" if namespace else place).id


def _askers(question: Interrupt, found: CheckpointTuple) -> Sequence[str]:
    """The tasks that asked it beside a checkpoint."""
    writes = found.pending_writes or ()
    return [
        task_id
        for task_id, channel, value in writes
        if channel == INTERRUPT and any(one.id == question.id for one in value)
    ]
