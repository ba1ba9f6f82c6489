"""Makes a thread's latest checkpoints independent of earlier ones, so that its past can be deleted.

The value of a `DeltaChannel` is computed from the writes of earlier checkpoints, unless a checkpoint has a
snapshot of it. Here each latest checkpoint that needs its past is stored again, in its own place, with such
snapshots. It is then read back to verify that it has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.channels import DeltaChannel
from langgraph.channels.base import BaseChannel
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.pregel._checkpoint import achannels_from_checkpoint

from lgs_runtime.errors import InvalidRequest
from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.model import Thread
from lgs_runtime.services import Services
from lgs_runtime.threads.reading import graph_that_made, named_graph
from lgs_runtime.threads.thread_graph import open_for

COUNTERS: Final = "counters_since_delta_snapshot"
"""The key in a checkpoint's metadata for the channels whose values depend on the past."""
FOREIGN: Final = "delta_writes_versioned"
"""A key in the metadata of LangGraph.js, whose delta channels don't say which checkpoints they depend on."""

Specs = Mapping[str, Any]


async def stand_alone(services: Services, thread: Thread) -> None:
    """Stores snapshots in the latest checkpoints of the thread and its subgraphs, if they need any. Raises
    `InvalidRequest` if that can't be done."""
    heads = await _heads(services, thread.thread_id)
    if not heads:
        return
    head = heads.get("")
    specs = await _specs(services, thread, graph_that_made(services, head.metadata if head else None))
    for namespace, head in heads.items():
        await _store(services.checkpointer, head, specs.get(_path(namespace)))


async def _heads(services: Services, thread_id: str) -> Mapping[str, CheckpointTuple]:
    """The latest checkpoint of each namespace. Left out are subgraph calls that belong to an earlier
    checkpoint of the root: they are deleted with it."""
    heads: dict[str, CheckpointTuple] = {}
    for namespace in await services.upkeep.namespaces(thread_id):
        config: RunnableConfig = {"configurable": {"thread_id": thread_id, "checkpoint_ns": namespace}}
        head = await services.checkpointer.aget_tuple(config)
        root = heads.get("")
        over = root is not None and ":" in namespace and head is not None and _root(head) != _id(root)
        if head is not None and not over:
            heads[namespace] = head
    return heads


async def _specs(services: Services, thread: Thread, made_by: str | None) -> Mapping[str, Specs]:
    """The channels of the thread's graph and of its subgraphs, by path; empty for an unknown graph."""
    graph_id = made_by or named_graph(thread)
    if graph_id is None or graph_id not in services.graphs.ids:
        return {}
    config: RunnableConfig = {"configurable": {"thread_id": thread.thread_id}}
    async with open_for(services, thread, graph_id, config) as graph:
        return {"": graph.channels, **{path: nested.channels async for path, nested in _nested(graph)}}


def _nested(graph: Graph) -> Any:
    return graph.aget_subgraphs(recurse=True)


async def _store(saver: BaseCheckpointSaver[Any], head: CheckpointTuple, specs: Specs | None) -> None:
    metadata: dict[str, Any] = dict(head.metadata)
    if FOREIGN in metadata or (specs is None and metadata.get(COUNTERS)):
        raise _needs_past(head)
    needed = _needed(specs or {}, head)
    if not needed:
        return
    channels, _ = await achannels_from_checkpoint(needed, head.checkpoint, saver=saver, config=head.config)
    values = {name: _stored(channel) for name, channel in channels.items()}
    metadata[COUNTERS] = {
        name: counts for name, counts in (metadata.get(COUNTERS) or {}).items() if name not in values
    }
    versions = head.checkpoint["channel_versions"]
    checkpoint: Any = {
        **head.checkpoint,
        "channel_values": {**head.checkpoint["channel_values"], **values},
    }
    await saver.aput(_onto(head), checkpoint, metadata, {name: versions[name] for name in values})  # type: ignore[arg-type]
    # A saver that stores each version once may have kept the version without a value.
    stored = await saver.aget_tuple(head.config)
    if stored is None or _needed(needed, stored):
        raise _needs_past(head)


def _needed(specs: Specs, head: CheckpointTuple) -> Specs:
    """The delta channels whose value at a checkpoint depends on its past: they were written, but the
    checkpoint has no value of them."""
    versions, values = head.checkpoint["channel_versions"], head.checkpoint["channel_values"]
    delta = {name: spec for name, spec in specs.items() if isinstance(spec, DeltaChannel)}
    return {name: spec for name, spec in delta.items() if name in versions and name not in values}


def _stored(channel: BaseChannel[Any, Any, Any]) -> Any:
    return _DeltaSnapshot(channel.get()) if isinstance(channel, DeltaChannel) else channel.checkpoint()


def _onto(head: CheckpointTuple) -> RunnableConfig:
    """The configuration with which a checkpoint is stored again in its own place: it names the parent."""
    named: Mapping[str, Any] = head.config["configurable"]
    parent = head.parent_config["configurable"].get("checkpoint_id") if head.parent_config else None
    return {
        "configurable": {
            "thread_id": named["thread_id"],
            "checkpoint_ns": named.get("checkpoint_ns", ""),
            **({"checkpoint_id": parent} if parent else {}),
        }
    }


def _path(namespace: str) -> str:
    """The path of a subgraph as LangGraph names it: its namespace without task ids."""
    parts: Sequence[str] = namespace.split("|") if namespace else ()
    return "|".join(part.split(":")[0] for part in parts if not part.isdigit())


def _id(head: CheckpointTuple) -> str:
    return str(head.config["configurable"]["checkpoint_id"])


def _root(head: CheckpointTuple) -> str | None:
    """The id of the root graph's checkpoint that a subgraph's checkpoint belongs to."""
    return (head.metadata.get("parents") or {}).get("")


def _needs_past(head: CheckpointTuple) -> InvalidRequest:
    named = head.config["configurable"]
    return InvalidRequest(
        f"strategy: 'keep_latest': thread {named['thread_id']}: its latest checkpoint (namespace "
        f"{named.get('checkpoint_ns', '')!r}) is made of earlier ones by a DeltaChannel, and can't be made "
        "to stand alone: its graph or subgraph must be one that this service has, of LangGraph for Python"
    )
