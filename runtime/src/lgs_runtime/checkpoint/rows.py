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
    """What a task wrote, beside the checkpoint that it ran from."""
    configurable = config["configurable"]
    address = (
        str(configurable["thread_id"]),
        configurable.get("checkpoint_ns", ""),
        configurable["checkpoint_id"],
        task_id,
        task_path,
    )
    rows, size, special = [], 0, True
    for place, (channel, value) in enumerate(writes):
        index = WRITES_IDX_MAP.get(channel)
        special = special and index is not None
        kind, data = serde.dumps_typed(value)
        rows.append((*address, place if index is None else index, channel, kind, data))
        size += len(data)
    return Rows(replaced_writes=rows, size=size) if special else Rows(new_writes=rows, size=size)
