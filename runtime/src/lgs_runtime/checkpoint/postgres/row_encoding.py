"""Encodes checkpoints as rows and decodes them. Pure: knows the tables and LangGraph's values, but no driver
or event loop.

As in langgraph-checkpoint-postgres, plain values (None, text, numbers, booleans) are in the checkpoint's
JSON, and all others in `checkpoint_blobs`, once for each version of their channel. A plain value that
Postgres's JSON would change (text with NUL or a lone surrogate, NaN, infinities, minus zero, large floats,
members of enumerations) is a blob too; the official saver can read that. In metadata, such text is escaped
with marks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import orjson
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    PendingWrite,
    get_serializable_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.types import TASKS, _DeltaSnapshot

from lgs_runtime.checkpoint.configs import checkpoint_config
from lgs_runtime.checkpoint.rows import Row, Rows
from lgs_runtime.database.columns import columns
from lgs_runtime.database.json_columns import dump, escape
from lgs_runtime.database.json_columns import load as unmarked

_EXACT_FLOATS: Final = 2.0**53
_LARGEST_FLOAT: Final = 1e16
"""From this value on, floats are written without a decimal point."""


@dataclass(slots=True)
class Group:
    """The rows of many calls merged, each row once, as if the calls had been made one after the other."""

    blobs: dict[Row, Row] = field(default_factory=dict)
    new_writes: dict[Row, Row] = field(default_factory=dict)
    replaced_writes: dict[Row, Row] = field(default_factory=dict)
    checkpoints: dict[Row, Row] = field(default_factory=dict)

    def add(self, rows: Rows) -> None:
        """Merges in the rows of the next call."""
        for row in rows.blobs:
            self.blobs.setdefault(row[:4], row)
        for row in rows.new_writes:
            key = _write_key(row)
            if key not in self.replaced_writes:
                self.new_writes.setdefault(key, row)
        for row in rows.replaced_writes:
            key = _write_key(row)
            before = self.new_writes.pop(key, None) or self.replaced_writes.get(key)
            # Postgres keeps the task path of a write that is replaced, and so does a group.
            self.replaced_writes[key] = row if before is None else (*row[:4], before[4], *row[5:])
        for row in rows.checkpoints:
            before = self.checkpoints.get(row[:3])
            self.checkpoints[row[:3]] = row if before is None else (*before[:4], *row[4:])

    def columns(self) -> tuple[tuple[int, ...], list[Sequence[Any] | None]]:
        """(indices into `statements.GROUP` of the parts that have rows, the columns of these parts)."""
        tables = (self.blobs, self.new_writes, self.replaced_writes, self.checkpoints)
        found: list[Sequence[Any] | None] = []
        for rows in tables:
            if rows:
                found.extend(columns(rows.values()))
        return tuple(part for part, rows in enumerate(tables) if rows), found


def _write_key(row: Row) -> Row:
    return (row[0], row[1], row[2], row[3], row[5])


def checkpoint_rows(
    serde: SerializerProtocol,
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    new_versions: ChannelVersions,
) -> Rows:
    """The rows of a checkpoint and of the values that are new in it."""
    configurable = config["configurable"]
    thread_id, namespace = str(configurable["thread_id"]), configurable.get("checkpoint_ns", "")
    plain: dict[str, Any] = {}
    blobs, size = [], 0
    for channel, value in checkpoint["channel_values"].items():
        if _fits_json(value):
            plain[channel] = value
            continue
        if isinstance(value, _DeltaSnapshot):
            plain[channel] = True
        if channel in new_versions:
            kind, data = serde.dumps_typed(value)
            blobs.append((thread_id, namespace, channel, str(new_versions[channel]), kind, data))
            size += len(data)
    document = _dump({**checkpoint, "channel_values": plain})
    about = dump(get_serializable_checkpoint_metadata(config, metadata))
    row = (
        thread_id,
        namespace,
        checkpoint["id"],
        configurable.get("checkpoint_id"),
        document,
        about,
    )
    return Rows(blobs=blobs, checkpoints=(row,), size=size + len(document) + len(about))


def checkpoint_tuple(serde: SerializerProtocol, row: Mapping[str, Any]) -> CheckpointTuple:
    """Decodes a row of `statements.LATEST`, `EXACT` or `LIST`."""
    checkpoint = cast(Checkpoint, load(row["checkpoint"]))
    values = dict(checkpoint.get("channel_values") or {})
    for channel, kind, data in zip(
        row["channels"] or (), row["types"] or (), row["blobs"] or (), strict=True
    ):
        if kind != "empty":
            values[channel] = serde.loads_typed((kind, data))
    if row["send_types"]:
        values[TASKS] = [
            serde.loads_typed(sent) for sent in zip(row["send_types"], row["send_blobs"], strict=True)
        ]
        versions = checkpoint["channel_versions"]
        versions[TASKS] = max(versions.values(), default=cast(Any, None)) or first_version()
    checkpoint["channel_values"] = values
    thread_id, namespace = row["thread_id"], row["checkpoint_ns"]
    parent_id = row["parent_checkpoint_id"]
    return CheckpointTuple(
        checkpoint_config(thread_id, namespace, row["checkpoint_id"]),
        checkpoint,
        cast(CheckpointMetadata, load(row["metadata"])),
        checkpoint_config(thread_id, namespace, parent_id) if parent_id else None,
        pending_writes(serde, row),
    )


def pending_writes(serde: SerializerProtocol, row: Mapping[str, Any]) -> list[PendingWrite]:
    """The pending writes of a row's checkpoint, in the order in which LangGraph applies them."""
    if not row["task_ids"]:
        return []
    stored = zip(
        row["task_paths"],
        row["task_ids"],
        row["idxs"],
        row["write_channels"],
        row["write_types"],
        row["write_blobs"],
        strict=True,
    )
    return [
        (task_id, channel, serde.loads_typed((kind, data)))
        for _, task_id, _, channel, kind, data in sorted(
            stored, key=lambda write: writes_sort_key(*write[:3])
        )
    ]


def first_version() -> str:
    """The first version of a channel."""
    return f"{1:032}.{0.0:016}"


def load(document: str) -> Any:
    """Decodes a JSON object. Integers beyond 64 bits are exact."""
    value = unmarked(document)
    plain = value.get("channel_values")
    rounded = _rounded(value.values()) or (isinstance(plain, dict) and _rounded(plain.values()))
    return json.loads(document) if rounded else value


def _rounded(values: Iterable[Any]) -> bool:
    """Whether a value may be an integer that the fast parser turned into a float."""
    return any(type(value) is float and abs(value) > _EXACT_FLOATS for value in values)


def _fits_json(value: Any) -> bool:
    kind = type(value)
    if value is None or kind is int or kind is bool:
        return True
    if kind is str:
        return (value.isascii() and "\x00" not in value) or escape(value) == value
    # Postgres does not keep the sign of minus zero, nor that a large float is not an integer.
    return kind is float and abs(value) < _LARGEST_FLOAT and (value != 0 or math.copysign(1, value) > 0)


def _dump(document: Mapping[str, Any]) -> str:
    try:
        text = orjson.dumps(document).decode()
    except TypeError:
        # Integers beyond 64 bits. Raises for values that no JSON can represent.
        text = json.dumps(document)
    return dump(document) if "\\u0000" in text else text
