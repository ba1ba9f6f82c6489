"""What all records and searches share: JSON objects, scopes, and pages of a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scope:
    """The records whose metadata contains one of `any_of`; no records when it is empty."""

    any_of: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search: where it starts, how many it holds at most, and how it is sorted."""

    limit: int = 10
    offset: int = 0
    sort_by: str = "created_at"
    sort_order: Literal["asc", "desc"] = "desc"
