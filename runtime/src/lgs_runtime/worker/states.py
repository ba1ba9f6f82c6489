"""Reads the state of a graph at a checkpoint with its pending writes, also where LangGraph itself fails to,
or leaves out questions."""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.types import PregelTask, StateSnapshot

from lgs_runtime.checkpoint.configs import namespace_of
from lgs_runtime.checkpoint.failures import from_persistence
from lgs_runtime.event_loop import RAISED, is_cancelled
from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.worker.command_marks import ids_at
from lgs_runtime.worker.missing_nodes import last_questions


async def state_of(graph: Graph, config: RunnableConfig, *, subgraphs: bool = False) -> StateSnapshot:
    """The state that `config` names. Pending writes that can't be applied (two values for a channel that
    takes one, a value that its reducer refuses) are left out: they made a run fail, and without the state
    before them nothing of its thread could be seen. Raises `StorageUnavailable`, and `ValueError` for a
    namespace that the graph does not have."""
    try:
        return await with_handlers(graph, await graph.aget_state(config, subgraphs=subgraphs))
    except RAISED as raised:
        if from_persistence(raised) or is_cancelled(raised):
            raise
        # In a history, each state is that of its checkpoint, without pending writes.
        async for snapshot in graph.aget_state_history(config, limit=1):
            return await with_handlers(graph, snapshot)
        raise


async def with_handlers(graph: Graph, state: StateSnapshot) -> StateSnapshot:
    """The state with the questions of error handlers, given as questions of their nodes. LangGraph's snapshot
    lacks the handlers' tasks, and shows a node that failed after it was answered as still asking."""
    failed = [task for task in state.tasks if task.error is not None]
    if not failed or not isinstance(graph.checkpointer, BaseCheckpointSaver):
        return state
    found = await graph.checkpointer.aget_tuple(state.config)
    asked = last_questions(found) if found is not None else {}
    others = {task.id for task in state.tasks}
    handlers = {task_id: each for task_id, each in asked.items() if task_id not in others}
    of_failed = {
        task.id: tuple(
            question
            for task_id, questions in handlers.items()
            for question in questions
            if len(failed) == 1 or question.id in _ids(graph, state, task, task_id, found)
        )
        for task in failed
    }
    # The questions that a node with a handler asked before it failed were answered; it is the handler's turn.
    over = {task.id for task in failed if of_failed[task.id] or _handler(graph, task) is not None}
    tasks = tuple(
        task._replace(interrupts=of_failed[task.id]) if task.id in over else task for task in state.tasks
    )
    answered = {question.id for task in failed if task.id in over for question in task.interrupts}
    waiting = [question for question in state.interrupts if question.id not in answered]
    return state._replace(tasks=tasks, interrupts=(*waiting, *chain.from_iterable(of_failed.values())))


def _ids(
    graph: Graph, state: StateSnapshot, failed: PregelTask, task_id: str, found: CheckpointTuple | None
) -> Collection[str]:
    """The ids that a question of task `task_id` has if that is the error handler of the task `failed`."""
    if found is None:
        return ()
    around = namespace_of(state.config)
    place = f"{around}|" * bool(around) + f"{failed.name}:{failed.id}|{_handler(graph, failed)}:{task_id}"
    return ids_at(place, task_id, found)


def _handler(graph: Graph, task: PregelTask) -> str | None:
    """The error handler node of a task's node; None if it has none."""
    return getattr(graph.nodes.get(task.name), "error_handler_node", None)
