"""Reads a thread's state with the right graph: the one that made the state.

A thread's metadata name the graph of the last run that ended on it, or, while it names none, of a run that
was put on it. That need not be the graph of its state: the run may still wait for its time, or was cancelled
before it began, or failed to build its graph. Every checkpoint names the graph that made it; one that does
not, or whose graph this service does not have, is read with the graph that the metadata name.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot

from lgs_runtime.checkpoint.configs import checkpoint_config, namespace_of
from lgs_runtime.errors import Conflict
from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.model import Thread
from lgs_runtime.services import Services
from lgs_runtime.threads.thread_graph import open_for
from lgs_runtime.worker.states import state_of, with_handlers


def named_graph(thread: Thread) -> str | None:
    """The graph that a thread's metadata name, or None."""
    graph_id = thread.metadata.get("graph_id")
    return graph_id if isinstance(graph_id, str) else None


def graph_that_made(services: Services, metadata: Mapping[str, Any] | None) -> str | None:
    """The graph that made the checkpoint with these metadata, if this service has it."""
    graph_id = (metadata or {}).get("graph_id")
    return graph_id if graph_id in services.graphs.ids else None


async def graph_at(services: Services, thread: Thread, config: RunnableConfig) -> str | None:
    """The graph to read a thread's checkpoint with; without an id in `config`, the latest checkpoint. None:
    the thread has no graph yet."""
    found = await services.checkpointer.aget_tuple(config)
    return graph_that_made(services, found.metadata if found else None) or named_graph(thread)


async def graph_of(services: Services, thread: Thread) -> str:
    """The graph of a thread's latest state. Raises `Conflict` if the thread has no graph yet."""
    graph_id = await graph_at(services, thread, checkpoint_config(thread.thread_id))
    if graph_id is None:
        raise Conflict(f"thread {thread.thread_id} has no graph yet: run something on it first")
    return graph_id


async def assistant_of(services: Services, thread: Thread) -> str | None:
    """The id of the assistant whose run made a thread's latest state; else the one that its metadata name, or
    None."""
    found = await services.checkpointer.aget_tuple(checkpoint_config(thread.thread_id))
    made = found.metadata.get("assistant_id") if found else None
    assistant_id = made or thread.metadata.get("assistant_id")
    return assistant_id if isinstance(assistant_id, str) else None


async def read_state(
    services: Services, thread: Thread, config: RunnableConfig, *, subgraphs: bool = False
) -> StateSnapshot | None:
    """The state that `config` names. None: the thread has no graph yet. Raises `ValueError` for a namespace
    that its graph does not have."""
    graph_id = await _first_guess(services, thread, config)
    if graph_id is None:
        return None
    async with open_for(services, thread, graph_id, config) as graph:
        snapshot = await state_of(graph, config, subgraphs=subgraphs)
    made = graph_that_made(services, snapshot.metadata)
    if made in (None, graph_id):
        return snapshot
    async with open_for(services, thread, made, config) as graph:
        return await state_of(graph, config, subgraphs=subgraphs)


async def read_history(
    services: Services,
    thread: Thread,
    config: RunnableConfig,
    *,
    filter: Mapping[str, Any] | None = None,
    before: RunnableConfig | None = None,
    limit: int | None = None,
) -> AsyncGenerator[StateSnapshot, None]:
    """The past states, newest first, each read with the graph that made it."""
    graph_id = await _first_guess(services, thread, config)
    if graph_id is None:
        return
    async with AsyncExitStack() as stack:
        graph = await stack.enter_async_context(open_for(services, thread, graph_id, config))
        opened: dict[str, Graph] = {graph_id: graph}
        given = None if filter is None else dict(filter)
        async for snapshot in graph.aget_state_history(config, filter=given, before=before, limit=limit):
            made = graph_that_made(services, snapshot.metadata) or graph_id
            if made not in opened:
                opened[made] = await stack.enter_async_context(open_for(services, thread, made, config))
            if made == graph_id:
                yield await with_handlers(graph, snapshot)
            else:
                yield await state_of(opened[made], snapshot.config)


async def _first_guess(services: Services, thread: Thread, config: RunnableConfig) -> str | None:
    """The graph to try first: the one that the metadata name, which is nearly always right. If it could not
    be asked (for a subgraph's namespace, or if the graph no longer exists), the graph of the checkpoint."""
    graph_id = named_graph(thread)
    if graph_id in services.graphs.ids and not namespace_of(config):
        return graph_id
    return await graph_at(services, thread, config)
