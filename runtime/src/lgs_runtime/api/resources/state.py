"""The state of threads: the latest, at a checkpoint, its history, and changes by hand.

A thread's state is read with the graph that made it (`threads.reading`). A thread without a graph has no
state yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

from fastapi import Response
from langchain_core.runnables import RunnableConfig
from langgraph.errors import InvalidUpdateError
from langgraph.types import StateSnapshot, StateUpdate

from lgs_runtime.api.access import Asking, Parts, router
from lgs_runtime.api.callers import Caller
from lgs_runtime.api.http.responses import JsonResponse
from lgs_runtime.api.schemas import bodies, operations, shapes
from lgs_runtime.api.schemas.queries import Before, Flag, Limit, StateKeys
from lgs_runtime.api.schemas.record_json import checkpoint_json, select_state, state_json
from lgs_runtime.checkpoint.configs import checkpoint_config, without_who_asked
from lgs_runtime.errors import InvalidRequest, NotFound
from lgs_runtime.graphs.failures import graph_called
from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.model import Thread, ThreadStatus, rooted
from lgs_runtime.streams.json_encoding import to_json
from lgs_runtime.threads.reading import graph_at, named_graph, read_history, read_state
from lgs_runtime.threads.removal import refuse_busy
from lgs_runtime.threads.thread_graph import open_configured
from lgs_runtime.worker.resumption import as_command

routes = router("Threads")


@routes.get(
    "/threads/{thread_id}/state", response_model=shapes.StateFields, responses=operations.refusals(502)
)
async def get_state(
    parts: Parts, caller: Asking, thread_id: bodies.PathId, subgraphs: Flag = False, keys: StateKeys = None
) -> Response:
    """The latest state of a thread."""
    return await _state(parts, caller, thread_id, None, subgraphs=subgraphs, fields=keys)


@routes.get(
    "/threads/{thread_id}/state/{checkpoint_id}",
    response_model=shapes.StateFields,
    responses=operations.refusals(502),
)
async def get_state_at(
    parts: Parts,
    caller: Asking,
    thread_id: bodies.PathId,
    checkpoint_id: bodies.PathId,
    *,
    subgraphs: Flag = False,
    keys: StateKeys = None,
) -> Response:
    """The state of a thread at a checkpoint."""
    at = bodies.Checkpoint(checkpoint_id=checkpoint_id)
    return await _state(parts, caller, thread_id, at, subgraphs=subgraphs, fields=keys)


@routes.post(
    "/threads/{thread_id}/state/checkpoint",
    response_model=shapes.StateFields,
    responses=operations.refusals(502),
)
async def get_state_at_checkpoint(
    parts: Parts, caller: Asking, thread_id: bodies.PathId, body: bodies.StateAtCheckpoint
) -> Response:
    """The state of a thread at a checkpoint, of a subgraph too."""
    return await _state(
        parts, caller, thread_id, body.checkpoint, subgraphs=body.subgraphs, fields=body.select
    )


@routes.get("/threads/{thread_id}/history", response_model=shapes.States, responses=operations.refusals(502))
async def get_history(
    parts: Parts, caller: Asking, thread_id: bodies.PathId, limit: Limit = 10, before: Before = None
) -> Response:
    """Past states, newest first."""
    return await _history(parts, caller, thread_id, bodies.StateHistory(limit=limit, before=before))


@routes.post("/threads/{thread_id}/history", response_model=shapes.States, responses=operations.refusals(502))
async def search_history(
    parts: Parts, caller: Asking, thread_id: bodies.PathId, body: bodies.StateHistory
) -> Response:
    """Past states that match, newest first."""
    return await _history(parts, caller, thread_id, body)


@routes.post(
    "/threads/{thread_id}/state", response_model=shapes.StateUpdated, responses=operations.refusals(409, 502)
)
async def update_state(
    parts: Parts, caller: Asking, thread_id: bodies.PathId, body: bodies.StateUpdate
) -> Response:
    """Changes the state as if a node had, and makes a checkpoint of it. A busy thread answers 409."""
    thread = await caller.thread("update", thread_id)
    await refuse_busy(parts, thread)
    at = body.checkpoint or bodies.Checkpoint(checkpoint_id=body.checkpoint_id)
    config = config_at(thread_id, at, caller)
    if at.checkpoint_id and await parts.checkpointer.aget_tuple(config) is None:
        raise NotFound("checkpoint", at.checkpoint_id)
    graph_id = await graph_at(parts, thread, config)
    if graph_id is None:
        raise InvalidRequest(
            f"thread {thread_id}: no graph: a thread's state can be changed once it had a run, "
            "or has graph_id in its metadata"
        )
    config["configurable"]["graph_id"] = graph_id
    async with open_configured(parts, thread, graph_id, config, access="threads.update") as (graph, whole):
        with graph_called(graph_id), _refusing("values"):
            changed = await graph.aupdate_state(without_who_asked(whole), body.values, as_node=body.as_node)
        await _remember(parts, caller, graph, thread_id)
    checkpoint = checkpoint_json(changed) or {}
    return JsonResponse({"checkpoint": checkpoint, "configurable": checkpoint, **checkpoint})


async def apply_supersteps(
    parts: Parts, caller: Caller, thread: Thread, supersteps: Sequence[bodies.Superstep]
) -> Thread:
    """Writes a history into a thread, step by step. Raises `Conflict` if the thread is busy."""
    await refuse_busy(parts, thread)
    config = config_at(thread.thread_id, bodies.Checkpoint(), caller)
    graph_id = await graph_at(parts, thread, config)
    if graph_id is None:
        raise InvalidRequest("supersteps: metadata.graph_id must say which graph they belong to")
    steps = [[_update(update) for update in step.updates] for step in supersteps]
    async with open_configured(parts, thread, graph_id, config, access="threads.update") as (graph, whole):
        with graph_called(graph_id), _refusing("supersteps"):
            await graph.abulk_update_state(without_who_asked(whole), steps)
        return await _remember(parts, caller, graph, thread.thread_id)


def config_at(thread_id: str, checkpoint: bodies.Checkpoint, caller: Caller) -> RunnableConfig:
    """The configuration that names a checkpoint of a thread and the caller; without a checkpoint id, the
    latest one."""
    named = checkpoint_config(thread_id, checkpoint.checkpoint_ns, checkpoint.checkpoint_id)["configurable"]
    mapped = {"checkpoint_map": checkpoint.checkpoint_map} if checkpoint.checkpoint_map else {}
    return {"configurable": {**named, **mapped, **caller.configurable()}}


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Turns LangGraph's errors about a change that the graph can't take into `InvalidRequest`."""
    try:
        yield
    except (InvalidUpdateError, ValueError) as wrong:
        raise InvalidRequest(f"{name}: {wrong}") from wrong


@contextmanager
def _of_a_subgraph(checkpoint: bodies.Checkpoint | None) -> Iterator[None]:
    """Around the reading of a state: LangGraph raises `ValueError` for a namespace that the graph lacks."""
    try:
        yield
    except ValueError as wrong:
        if checkpoint is None or not checkpoint.checkpoint_ns:
            raise
        raise NotFound("checkpoint", f"{checkpoint.checkpoint_ns}: {wrong}") from wrong


def _update(update: bodies.SuperstepUpdate) -> StateUpdate:
    values = as_command(update.command.model_dump()) if update.command else update.values
    return StateUpdate(values, update.as_node)  # type: ignore[arg-type]


async def _remember(parts: Parts, caller: Caller, graph: Graph, thread_id: str) -> Thread:
    """Updates the thread's record from its latest checkpoint."""
    snapshot = await graph.aget_state(config_at(thread_id, bodies.Checkpoint(), caller))
    interrupts: dict[str, Any] = {task.id: task.interrupts for task in snapshot.tasks if task.interrupts}
    status: ThreadStatus = "interrupted" if snapshot.tasks else "idle"
    values, interrupted = rooted(to_json(snapshot.values)), to_json(interrupts)
    return await parts.storage.threads.set_state(thread_id, values, interrupted, status)


async def _state(
    parts: Parts,
    caller: Caller,
    thread_id: str,
    checkpoint: bodies.Checkpoint | None,
    *,
    subgraphs: bool,
    fields: Sequence[str] | None,
) -> Response:
    thread = await caller.thread("read", thread_id)
    config = config_at(thread_id, checkpoint or bodies.Checkpoint(), caller)
    with graph_called(named_graph(thread) or thread_id), _of_a_subgraph(checkpoint):
        snapshot = await read_state(parts, thread, config, subgraphs=subgraphs)
    if checkpoint and checkpoint.checkpoint_id and (snapshot is None or snapshot.created_at is None):
        raise NotFound("checkpoint", checkpoint.checkpoint_id)
    shown = _nothing_yet(config) if snapshot is None else state_json(snapshot)
    return JsonResponse(select_state(shown, fields))


def _nothing_yet(config: RunnableConfig) -> Mapping[str, Any]:
    return state_json(StateSnapshot({}, (), config, None, None, None, (), ()))


async def _history(parts: Parts, caller: Caller, thread_id: str, body: bodies.StateHistory) -> Response:
    thread = await caller.thread("read", thread_id)
    config = config_at(thread_id, body.checkpoint or bodies.Checkpoint(), caller)
    before = bodies.Checkpoint(checkpoint_id=body.before) if isinstance(body.before, str) else body.before
    history = read_history(
        parts,
        thread,
        config,
        filter=body.metadata,
        before=config_at(thread_id, before, caller) if before and before.checkpoint_id else None,
        limit=body.limit,
    )
    with graph_called(named_graph(thread) or thread_id):
        async with aclosing(history):
            found = [select_state(state_json(snapshot), body.select) async for snapshot in history]
    return JsonResponse(found)
