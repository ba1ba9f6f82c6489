"""The history of delta channels, which are stored as changes: a value is built from the last stored value and
the writes since."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from langgraph.checkpoint.base import DeltaChannelHistory, writes_sort_key
from langgraph.checkpoint.serde.base import SerializerProtocol

from lgs_runtime.checkpoint.postgres.thread_statements import DELTA_HISTORY
from lgs_runtime.checkpoint.rows import Address
from lgs_runtime.database.postgres import Database


async def delta_history(
    database: Database,
    serde: SerializerProtocol,
    address: Address,
    channels: Sequence[str],
) -> dict[str, DeltaChannelHistory]:
    """The last stored value of each channel and the writes to it since, oldest first, among the ancestors of
    the checkpoint `address` (thread, namespace, id)."""
    history: dict[str, DeltaChannelHistory] = {channel: {"writes": []} for channel in channels}
    rows = await database.rows(DELTA_HISTORY, *address, list(history))
    for row in sorted(rows, key=_oldest_first):
        entry = history[row["channel"]]
        if row["task_id"] is not None:
            value = serde.loads_typed((row["type"], row["blob"]))
            entry["writes"].append((row["task_id"], row["channel"], value))
        elif row["type"] is not None:
            entry["seed"] = serde.loads_typed((row["type"], row["blob"]))
        else:
            entry["seed"] = json.loads(row["plain"])
    return history


def _oldest_first(row: Mapping[str, Any]) -> tuple[int, tuple[str, str, int]]:
    return (-row["depth"], writes_sort_key(row["task_path"] or "", row["task_id"] or "", row["idx"] or 0))
