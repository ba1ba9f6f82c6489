"""Queries: what a search asks for, one value for both its listing and its count, for each kind of record.

A record matches when it meets every condition given; None is no condition. `metadata` and `values` must be
contained in those of the record. A count ignores `page`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from lgs_runtime.errors import InvalidRequest
from lgs_runtime.model import Json, Page, RunStatus, Scope, ThreadStatus

FIRST_PAGE = Page()


def _order(page: Page, columns: tuple[str, ...]) -> str:
    if page.sort_by not in columns:
        raise InvalidRequest(f"sort_by is {page.sort_by}; it must be one of {', '.join(columns)}")
    if page.sort_order not in ("asc", "desc"):
        raise InvalidRequest(f"sort_order is {page.sort_order}; it must be asc or desc")
    return f"{page.sort_by} {page.sort_order.upper()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sorted:
    """A search with a requested order, by a column from a fixed list: no word of a request becomes SQL."""

    COLUMNS: ClassVar[tuple[str, ...]]

    page: Page = FIRST_PAGE
    metadata: Json | None = None
    scope: Scope | None = None
    """What the caller may see; None: everything."""

    @property
    def order(self) -> str:
        """`column ASC` or `column DESC`. Raises `InvalidRequest` for a column that is not in `COLUMNS`, and
        for any other direction."""
        return _order(self.page, self.COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistantQuery(_Sorted):
    """A search for assistants, at their current versions."""

    COLUMNS: ClassVar = ("assistant_id", "graph_id", "name", "created_at", "updated_at")

    graph_id: str | None = None
    name: str | None = None
    """Part of the name, in upper or lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadQuery(_Sorted):
    """A search for threads."""

    COLUMNS: ClassVar = ("thread_id", "status", "created_at", "updated_at", "state_updated_at")

    ids: Sequence[str] | None = None
    values: Json | None = None
    status: ThreadStatus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CronQuery(_Sorted):
    """A search for crons."""

    COLUMNS: ClassVar = (
        "cron_id",
        "assistant_id",
        "thread_id",
        "created_at",
        "updated_at",
        "next_run_date",
        "end_time",
    )

    assistant_id: str | None = None
    thread_id: str | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuery:
    """A search for runs of a thread, or of a user: newest first, whatever order `page` asks for."""

    page: Page = FIRST_PAGE
    status: RunStatus | None = None
    metadata: Json | None = None
    scope: Scope | None = None
    """The threads that the caller may see; None: all of them."""
