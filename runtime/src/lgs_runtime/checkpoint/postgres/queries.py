"""The statement behind `alist`. Pure: takes what is asked for, returns text and arguments."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import get_checkpoint_id

from lgs_runtime.checkpoint.postgres import statements
from lgs_runtime.database.json_columns import dump


def list_query(
    config: RunnableConfig | None,
    wanted: dict[str, Any] | None,
    before: RunnableConfig | None,
    limit: int | None,
) -> tuple[str, list[Any]]:
    """Checkpoints of a thread (and namespace and id, where `config` names them) whose metadata contains
    `wanted`, older than `before`, newest first. Only conditions that are asked for are in the text, so that
    each form has a plan of its own."""
    conditions: list[str] = []
    values: list[Any] = []

    def add(condition: str, value: Any) -> None:
        values.append(value)
        conditions.append(condition.format(f"${len(values)}"))

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
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    bound = f"LIMIT {int(limit)}" if limit is not None else ""
    return statements.LIST.format(where=where, limit=bound), values
