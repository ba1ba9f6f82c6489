"""Builds the statements of `alist`. Pure: takes the conditions, returns text and arguments."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import get_checkpoint_id

from lgs_runtime.checkpoint.postgres import statements
from lgs_runtime.database.json_columns import dump

Place = tuple[str, str, str]
"""Position of a checkpoint in a listing: its id, thread and namespace."""


def list_query(
    config: RunnableConfig | None,
    wanted: dict[str, Any] | None,
    before: RunnableConfig | None,
    limit: int,
    *,
    keys_after: Place | None = None,
) -> tuple[str, list[Any]]:
    """The query for checkpoints of a thread (and namespace and id, if `config` names them) whose metadata
    contains `wanted`, older than `before`, newest first; or only for the keys of those after the position
    `keys_after`. The text has only the conditions that are given, so that each form has its own plan."""
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
    statement = statements.LIST
    if keys_after is not None:
        statement = statements.KEYS
        # The first condition follows from the second, but the index can use it.
        place = "(checkpoint_id, thread_id, checkpoint_ns)"
        add(f"checkpoint_id <= {{0}} AND {place} < ({{0}}, {{1}}, {{2}})", *keys_after)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    return statement.format(where=where, limit=int(limit)), values
