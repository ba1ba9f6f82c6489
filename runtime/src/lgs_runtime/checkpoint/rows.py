"""The data that one call of a saver stores, as rows of the official tables. The tables of writes have the
same columns in both databases; those of checkpoints differ, so each encodes its own rows of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import WRITES_IDX_MAP, get_checkpoint_id
from langgraph.checkpoint.serde.base import SerializerProtocol

Row = tuple[Any, ...]

Address = tuple[str, str, str | None]
"""Thread, namespace, and id of a checkpoint (None: the latest)."""


def address_of(config: RunnableConfig) -> Address:
    """The address of the checkpoint that a config names."""
    configurable = config["configurable"]
    checkpoint_id = get_checkpoint_id(config)
    return (
        str(configurable["thread_id"]),
        configurable.get("checkpoint_ns", ""),
        str(checkpoint_id) if checkpoint_id else None,
    )


@dataclass(slots=True)
class Rows:
    """The data that one call stores: rows of each table, in the order of their columns. A row in `new_writes`
    is ignored if there is one already; one in `replaced_writes` replaces it. Only PostgreSQL has blobs."""

    blobs: Sequence[Row] = ()
    new_writes: Sequence[Row] = ()
    replaced_writes: Sequence[Row] = ()
    checkpoints: Sequence[Row] = ()
    size: int = 0
    """Approximate size in bytes."""


def write_rows(
    serde: SerializerProtocol,
    config: RunnableConfig,
    writes: Sequence[tuple[str, Any]],
    task_id: str,
    task_path: str,
) -> Rows:
    """The rows of a task's writes, which belong to the checkpoint that it ran from. A special write (error,
    interrupt, resume) replaces an existing one, whatever is written with it, as in LangGraph's in-memory
    saver: a task that ends writes its answers with its results, and an error handler that is called again
    needs all of them."""
    configurable = config["configurable"]
    address = (
        str(configurable["thread_id"]),
        configurable.get("checkpoint_ns", ""),
        configurable["checkpoint_id"],
        task_id,
        task_path,
    )
    new: list[Row] = []
    replaced: list[Row] = []
    size = 0
    for place, (channel, value) in enumerate(writes):
        index = WRITES_IDX_MAP.get(channel)
        kind, data = serde.dumps_typed(value)
        size += len(data)
        (new if index is None else replaced).append(
            (*address, place if index is None else index, channel, kind, data)
        )
    return Rows(new_writes=new, replaced_writes=replaced, size=size)
