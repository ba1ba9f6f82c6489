"""The state that a graph makes of a checkpoint and of what is written beside it."""

from __future__ import annotations

from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot

from lgs_runtime.checkpoint.failures import from_persistence
from lgs_runtime.graphs.schemas import Graph


async def state_of(graph: Graph, config: RunnableConfig, *, subgraphs: bool = False) -> StateSnapshot:
    """The state that `config` names, without what beside its checkpoint can't be taken in (two values for a
    channel that takes one, a value that its reducer refuses): by that a run has failed, and without the state
    before it nothing could be seen of its thread. Raises `StorageUnavailable`, and `ValueError` for a
    namespace that the graph does not have."""
    try:
        return await graph.aget_state(config, subgraphs=subgraphs)
    except Exception as raised:
        if from_persistence(raised):
            raise
        # A history has each state as its checkpoint has it.
        async for snapshot in graph.aget_state_history(config, limit=1):
            return snapshot
        raise
