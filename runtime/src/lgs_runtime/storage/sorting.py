"""The columns that a search may be sorted by, so that no word of a request ever becomes SQL."""

from __future__ import annotations

from typing import Final

from lgs_runtime.errors import InvalidRequest
from lgs_runtime.model import Page

ASSISTANTS: Final = ("assistant_id", "graph_id", "name", "created_at", "updated_at")
CRONS: Final = (
    "cron_id",
    "assistant_id",
    "thread_id",
    "created_at",
    "updated_at",
    "next_run_date",
    "end_time",
)
THREADS: Final = ("thread_id", "status", "created_at", "updated_at", "state_updated_at")


def order(page: Page, columns: tuple[str, ...]) -> str:
    """`column ASC` or `column DESC`. Raises `InvalidRequest` for anything that is not in `columns`."""
    if page.sort_by not in columns:
        raise InvalidRequest(f"sort_by is {page.sort_by}; it must be one of {', '.join(columns)}")
    if page.sort_order not in ("asc", "desc"):
        raise InvalidRequest(f"sort_order is {page.sort_order}; it must be asc or desc")
    return f"{page.sort_by} {page.sort_order.upper()}"
