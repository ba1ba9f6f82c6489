"""Encodes checkpoints as rows and decodes them, in the form of langgraph-checkpoint-sqlite: a checkpoint
contains all its values, and its metadata is JSON. Pure: knows tables and values, but no connection."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
    get_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from lgs_runtime.checkpoint.configs import checkpoint_config
from lgs_runtime.checkpoint.rows import Rows
from lgs_runtime.database.json_columns import MARK_BYTES, dump, load


@dataclass(frozen=True, slots=True)
class Stored:
    """A row of `statements.EXACT` or `LATEST`, and the rows of `WRITES` that belong to it."""

    checkpoint: Sequence[Any]
    writes: Sequence[Sequence[Any]]


def checkpoint_rows(
    serde: SerializerProtocol, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata
) -> Rows:
    """The row of a checkpoint with all its values."""
    configurable = config["configurable"]
    kind, data = serde.dumps_typed(checkpoint)
    about = _dump(get_checkpoint_metadata(config, metadata))
    row = (
        str(configurable["thread_id"]),
        configurable.get("checkpoint_ns", ""),
        checkpoint["id"],
        configurable.get("checkpoint_id"),
        kind,
        data,
        about,
    )
    return Rows(checkpoints=(row,), size=len(data) + len(about))


def checkpoint_tuple(serde: SerializerProtocol, stored: Stored) -> CheckpointTuple:
    """Decodes a stored checkpoint with its writes."""
    thread_id, namespace, checkpoint_id, parent_id, kind, data, about = stored.checkpoint
    return CheckpointTuple(
        checkpoint_config(thread_id, namespace, checkpoint_id),
        serde.loads_typed((kind, data)),
        _load(about) if about is not None else {},
        checkpoint_config(thread_id, namespace, parent_id) if parent_id else None,
        pending_writes(serde, stored.writes),
    )


def pending_writes(serde: SerializerProtocol, rows: Iterable[Sequence[Any]]) -> list[PendingWrite]:
    """Decodes rows of `statements.WRITES`, in the order in which LangGraph applies them."""
    ordered = sorted(rows, key=lambda row: writes_sort_key(row[4], row[0], row[5]))
    return [(row[0], row[1], serde.loads_typed((row[2], row[3]))) for row in ordered]


def _dump(metadata: CheckpointMetadata) -> bytes:
    try:
        return json.dumps(metadata, ensure_ascii=False).encode()
    except (TypeError, ValueError):
        # A lone surrogate, or a value that is not JSON.
        return dump(metadata).encode()


def _load(about: bytes) -> Any:
    return load(about) if MARK_BYTES in about else json.loads(about)
