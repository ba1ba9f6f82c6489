"""What one call of a saver stores, as rows of the official tables. Both databases' tables of writes have the
same columns; those of checkpoints differ, so each makes its own rows of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import WRITES_IDX_MAP, get_checkpoint_id
from langgraph.checkpoint.serde.base import SerializerProtocol

Row = tuple[Any, ...]

Address = tuple[str, str, str | None]
"""Thread, namespace, and checkpoint (None: the latest)."""


def address_of(config: RunnableConfig) -> Address:
    """The checkpoint that a config names."""
    configurable = config["configurable"]
    checkpoint_id = get_checkpoint_id(config)
    return (
        str(configurable["thread_id"]),
        configurable.get("checkpoint_ns", ""),
        str(checkpoint_id) if checkpoint_id else None,
    )


@dataclass(slots=True)
class Rows:
    """What one call stores: rows of each table, in the order of their columns. A new write leaves one that is
    there as it is; a replaced one takes its place. Blobs are PostgreSQL's alone."""

    blobs: Sequence[Row] = ()
    new_writes: Sequence[Row] = ()
    replaced_writes: Sequence[Row] = ()
    checkpoints: Sequence[Row] = ()
    size: int = 0
    """About how many bytes."""


def write_rows(
    serde: SerializerProtocol,
    config: RunnableConfig,
    writes: Sequence[tuple[str, Any]],
    task_id: str,
    task_path: str,
) -> Rows:
    """What a task wrote, beside the checkpoint that it ran from. A special write (errors, questions, answers)
    takes the place of one that is there, whatever is written with it, as in LangGraph's saver in memory: a
    task that ends writes its answers with its results, and an error handler that is called again needs them
    all."""
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
