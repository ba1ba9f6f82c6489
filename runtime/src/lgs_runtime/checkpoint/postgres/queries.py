"""The statement behind `alist`. Pure: takes what is asked for, returns text and arguments."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import get_checkpoint_id

from lgs_runtime.checkpoint.postgres import statements
from lgs_runtime.database.json_columns import dump

Place = tuple[str, str, str]
"""Of a checkpoint in a listing: its id, thread and namespace."""


def list_query(
    config: RunnableConfig | None,
    wanted: dict[str, Any] | None,
    before: RunnableConfig | None,
    limit: int,
    after: Place | None = None,
) -> tuple[str, list[Any]]:
    """Checkpoints of a thread (and namespace and id, where `config` names them) whose metadata contains
    `wanted`, older than `before`, newest first, from the one that comes after the place `after`. Only
    conditions that are asked for are in the text, so that each form has a plan of its own."""
    conditions: list[str] = []
    values: list[Any] = []

    def add(condition: str, *given: Any) -> None:
        values.extend(given)
        numbers = range(len(values) - len(given) + 1, len(values) + 1)
        conditions.append(condition.format(*(f"${number}" for number in numbers)))

    if config is not None:
        configurable = config["configurable"]
        add("thread_id = {}", str(configurable["thread_id"]))
        if (namespace := configurable.get("checkpoint_ns")) is not None:
            add("checkpoint_ns = {}", namespace)
        if checkpoint_id := get_checkpoint_id(config):
            add("checkpoint_id = {}", checkpoint_id)
    if wanted:
        add("metadata @> ({}::text)::jsonb", dump(wanted))
    if before is not None:
        add("checkpoint_id < {}", get_checkpoint_id(before))
    if after is not None:
        # The first condition says no more than the second; the index knows that one.
        add("checkpoint_id <= {0} AND (checkpoint_id, thread_id, checkpoint_ns) < ({0}, {1}, {2})", *after)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    return statements.LIST.format(where=where, limit=int(limit)), values
