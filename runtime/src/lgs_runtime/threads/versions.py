"""Versions of a thread: saving one now, reading one, and going back to one.

Going back makes a new checkpoint beside the version's own (a fork, as LangGraph calls it), with the values,
next nodes and questions of the version, and a new version that names it. Nothing in between is lost: it stays
in the history, and its versions can be restored as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.base.id import uuid6
from langgraph.types import StateSnapshot

from lgs_runtime.checkpoint.configs import checkpoint_config, checkpoint_id_of
from lgs_runtime.checkpoint.id_order import advance_ids_past
from lgs_runtime.checkpoint.savers import delete_run_checkpoints
from lgs_runtime.errors import Conflict, NotFound
from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.model import Json, Version
from lgs_runtime.services import Services
from lgs_runtime.storage.histories import NewVersion
from lgs_runtime.streams.json_encoding import to_json
from lgs_runtime.threads.reading import graph_of, graph_that_made, read_state
from lgs_runtime.threads.removal import has_deltas, nested_graphs, refuse_busy
from lgs_runtime.threads.thread_graph import open_for
from lgs_runtime.threads.transplant import Transplant
from lgs_runtime.worker.outcomes import outcome_of
from lgs_runtime.worker.states import state_of

OF_THE_RUN = ("run_id", "attempt", "assistant_id")
"""The keys of a checkpoint's metadata about the run that made it; a copy does not keep them."""


async def save_version(
    services: Services, thread_id: str, description: str | None, metadata: Json
) -> Version:
    """Saves the thread's current state as a version. Raises `NotFound`, `Conflict` for a busy thread or one
    without a state."""
    thread = await services.storage.threads.get(thread_id)
    latest = await services.checkpointer.aget_tuple(checkpoint_config(thread_id))
    if latest is None:
        raise Conflict(f"thread {thread_id} has no state yet: run something on it first")
    new = NewVersion(thread_id, checkpoint_id_of(latest.config), thread.interrupts, description, metadata)
    return await services.storage.versions.add(new)


async def state_at(services: Services, version: Version) -> StateSnapshot:
    """The state of a version. Raises `NotFound` if its checkpoint was deleted."""
    config = _config(version)
    thread = await services.storage.threads.get(version.thread_id)
    snapshot = await read_state(services, thread, config)
    if snapshot is None or snapshot.created_at is None:
        raise _gone(version)
    return snapshot


async def difference(services: Services, before: Version, after: Version) -> Mapping[str, Any]:
    """The difference between the values of two versions, key by key."""
    old, new = [to_json((await state_at(services, version)).values) for version in (before, after)]
    both = old.keys() & new.keys()
    return {
        "added": {key: new[key] for key in new if key not in both},
        "removed": {key: old[key] for key in old if key not in both},
        "changed": {
            key: {"from": old[key], "to": new[key]} for key in new if key in both and old[key] != new[key]
        },
    }


async def roll_back(services: Services, version: Version, description: str | None, metadata: Json) -> Version:
    """Restores the thread's state at a version, as a new version. Raises `NotFound`, `Conflict` for a busy
    thread."""
    thread = await services.storage.threads.get(version.thread_id)
    await refuse_busy(services, thread)
    source = await services.checkpointer.aget_tuple(_config(version))
    if source is None:
        raise _gone(version)
    operation = str(uuid4())
    marks = {"rollback_from": version.version, "run_id": operation}
    try:
        graph_id = graph_that_made(services, source.metadata) or await graph_of(services, thread)
        async with open_for(services, thread, graph_id, checkpoint_config(version.thread_id)) as graph:
            checkpoint_id = await _copy(services, graph, source, version, marks)
            now = outcome_of(graph, await state_of(graph, checkpoint_config(version.thread_id)))
        new = NewVersion(
            version.thread_id,
            checkpoint_id,
            now.interrupts or {},
            description,
            {**metadata, "rollback_from": version.version},
            now.values or {},
            now.thread_status,
        )
        return await services.storage.versions.add(new)
    except BaseException:
        # If no version was made, the copy must not become the thread's latest state either.
        await delete_run_checkpoints(services.checkpointer, version.thread_id, operation)
        raise


async def _copy(
    services: Services, graph: Graph, source: CheckpointTuple, version: Version, marks: Mapping[str, Any]
) -> str:
    """Copies the checkpoint of a version as the thread's latest, under a new id, and returns that id."""
    saver = services.checkpointer
    latest = await saver.aget_tuple(checkpoint_config(version.thread_id))
    advance_ids_past(checkpoint_id_of((latest or source).config))
    checkpoint_id = str(uuid6())
    kept = {name: value for name, value in source.metadata.items() if name not in OF_THE_RUN}
    metadata: Any = {**kept, **marks, "source": "fork"}
    copy = await saver.aput(
        source.parent_config or checkpoint_config(version.thread_id),
        {**source.checkpoint, "id": checkpoint_id, "ts": datetime.now(UTC).isoformat()},
        metadata,
        {},
    )
    subgraphs = not any(has_deltas(nested) for nested in await nested_graphs(graph))
    transplant = Transplant(graph, saver, version.interrupts, version.created_at, marks, subgraphs)
    await transplant.waiting(source, copy)
    return checkpoint_id


def _config(version: Version) -> RunnableConfig:
    return checkpoint_config(version.thread_id, checkpoint_id=version.checkpoint_id)


def _gone(version: Version) -> NotFound:
    return NotFound(
        "checkpoint",
        f"{version.checkpoint_id} of version {version.version} (it was deleted, as pruning does)",
    )
