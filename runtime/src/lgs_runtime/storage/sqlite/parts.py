"""The part of the runs that a replica takes beside a canary, in the form that SQLite's statements get: one
JSON value, or null; and how it takes those that are pinned to revisions."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from functools import lru_cache
from typing import Final

from lgs_runtime.database.json_columns import dump, load
from lgs_runtime.database.sqlite import Function
from lgs_runtime.storage import pins
from lgs_runtime.storage.canary import Member, Part, part_of, takes


def part(lease: sqlite3.Row, fleet: Collection[sqlite3.Row]) -> str | None:
    """The part of the replica with this lease; None: it takes all."""
    found = part_of(_member(lease), [_member(each) for each in fleet]) if fleet else None
    return None if found is None else dump([found.salt, found.low, found.high, found.others])


def taken(written: str, graph_id: str | None, thread_id: str) -> bool:
    """Whether a run is in the part that `written` describes."""
    return takes(_read(written), graph_id, thread_id)


def member_takes(found: str | None, graph_id: str | None, thread_id: str) -> bool:
    """Like `taken`, where None stands for all runs."""
    return found is None or taken(found, graph_id, thread_id)


def pinning(lease: sqlite3.Row) -> dict[str, str | None]:
    """What `conditions.HAS` asks of the lease about pinned runs."""
    return {"pinning": lease["pinning"], "revision": lease["revision"]}


def pin_of(lease: sqlite3.Row) -> str | None:
    """The revision that a run is pinned to once the replica with this lease has claimed it."""
    return None if lease["pinning"] is None else lease["revision"]


def keeps(lease: sqlite3.Row, pin: str | None) -> bool:
    """Whether the replica takes a run that is pinned to this revision (None: to none)."""
    return pins.keeps(lease["pinning"], lease["revision"], pin)


@lru_cache(64)
def _read(written: str) -> Part:
    return Part(*load(written))


def _member(row: sqlite3.Row) -> Member:
    return Member(row["revision"], row["share"], None if row["graphs"] is None else load(row["graphs"]))


FUNCTIONS: Final = {"lgs_takes": Function(3, taken)}
"""The function that `conditions.HAS` calls."""
