"""The state that a graph makes of a checkpoint and of what is written beside it, also where LangGraph makes
none, or leaves out who waits."""

from __future__ import annotations

from itertools import chain

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.types import StateSnapshot

from lgs_runtime.checkpoint.failures import from_persistence
from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.worker.missing_nodes import waiting_questions


async def state_of(graph: Graph, config: RunnableConfig, *, subgraphs: bool = False) -> StateSnapshot:
    """The state that `config` names, without what beside its checkpoint can't be taken in (two values for a
    channel that takes one, a value that its reducer refuses): by that a run has failed, and without the state
    before it nothing could be seen of its thread. Raises `StorageUnavailable`, and `ValueError` for a
    namespace that the graph does not have."""
    try:
        return await _with_handlers(graph, await graph.aget_state(config, subgraphs=subgraphs))
    except Exception as raised:
        if from_persistence(raised):
            raise
        # A history has each state as its checkpoint has it.
        async for snapshot in graph.aget_state_history(config, limit=1):
            return snapshot
        raise


async def _with_handlers(graph: Graph, state: StateSnapshot) -> StateSnapshot:
    """The state with what its nodes' error handlers ask, as questions of the nodes: their tasks are none of
    LangGraph's snapshot."""
    failed = [task for task in state.tasks if task.error is not None and not task.interrupts]
    if len(failed) != 1 or not isinstance(graph.checkpointer, BaseCheckpointSaver):
        return state
    found = await graph.checkpointer.aget_tuple(state.config)
    asked = waiting_questions(found) if found is not None else {}
    others = {task.id for task in state.tasks}
    handlers = tuple(chain.from_iterable(each for task_id, each in asked.items() if task_id not in others))
    if not handlers:
        return state
    tasks = tuple(task._replace(interrupts=handlers) if task is failed[0] else task for task in state.tasks)
    return state._replace(tasks=tasks, interrupts=(*state.interrupts, *handlers))
