"""What a replica takes beside a canary, as SQLite's statements get it: a value of one column, or null."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from functools import lru_cache
from typing import Final

from lgs_runtime.database.json_columns import dump, load
from lgs_runtime.database.sqlite import Function
from lgs_runtime.storage.canary import Member, Part, part_of, takes


def part(lease: sqlite3.Row, fleet: Collection[sqlite3.Row]) -> str | None:
    """Of the replica with this lease; None: it takes all."""
    found = part_of(_member(lease), [_member(each) for each in fleet]) if fleet else None
    return None if found is None else dump([found.salt, found.low, found.high, found.others])


def taken(written: str, graph_id: str | None, thread_id: str) -> bool:
    """Whether a run is of the part that is written so."""
    return takes(_read(written), graph_id, thread_id)


def member_takes(found: str | None, graph_id: str | None, thread_id: str) -> bool:
    """As `taken`, where all may be."""
    return found is None or taken(found, graph_id, thread_id)


@lru_cache(64)
def _read(written: str) -> Part:
    return Part(*load(written))


def _member(row: sqlite3.Row) -> Member:
    return Member(row["revision"], row["share"], None if row["graphs"] is None else load(row["graphs"]))


FUNCTIONS: Final = {"lgs_takes": Function(3, taken)}
"""What `conditions.HAS` calls."""
