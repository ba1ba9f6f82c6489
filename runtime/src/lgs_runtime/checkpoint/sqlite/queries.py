"""Builds the WHERE condition of `alist`. Pure: takes the conditions, returns text and arguments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite.utils import search_where

from lgs_runtime.database.json_columns import dump

_NAME: Final = re.compile("[a-zA-Z0-9_]+")


def list_condition(
    config: RunnableConfig | None, wanted: dict[str, Any] | None, before: RunnableConfig | None
) -> tuple[str, Sequence[Any]]:
    """The condition for checkpoints of a thread (and namespace and id, if `config` names them) whose metadata
    contains `wanted`, older than `before`."""
    plain = {name: value for name, value in (wanted or {}).items() if _is_plain(name, value)}
    where, values = search_where(config, plain, before)
    if len(plain) == len(wanted or {}):
        return where, values
    # SQLite's JSON paths support only plain names; for others a function of ours compares the whole metadata.
    contained = "lgs_contains(CAST(metadata AS TEXT), ?)"
    return f"{where} AND {contained}" if where else f"WHERE {contained}", [*values, dump(wanted)]


def _is_plain(name: str, value: Any) -> bool:
    if not _NAME.fullmatch(name):
        return False
    if isinstance(value, str):
        return value.isascii() and value.isprintable()
    return type(value) is int and abs(value) < 2**53
