"""Stores new runs: all that arrive while others are being stored go into one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.database.columns import columns
from lgs_runtime.database.group_commit import GroupCommitter
from lgs_runtime.database.json_columns import dump, dump_optional, escape
from lgs_runtime.database.postgres import Database
from lgs_runtime.model import NewRun
from lgs_runtime.storage import fairness, transitions
from lgs_runtime.storage.actor import who
from lgs_runtime.storage.lifetime import columns as lifetime_columns
from lgs_runtime.storage.postgres.statements.arrivals import ENQUEUE
from lgs_runtime.storage.scope import document_list

COMMITS_AT_ONCE: Final = 3
THREAD: Final = 1
"""Index of the column with the thread's id."""

Row = tuple[Any, ...]


class Arrivals:
    """Stores runs with one statement for many."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._committer: GroupCommitter[Row, asyncpg.Record | None] = GroupCommitter(
            self._store, at_once=COMMITS_AT_ONCE, patience_seconds=0.0
        )

    async def store(self, new: NewRun, claim_for: str | None, room: int) -> asyncpg.Record | None:
        """The row of the run that was stored; None when it must be stored under a lock (`enqueue_locked`).
        `room`: how many runs of its priority may wait. Raises `StorageUnavailable`, and the driver's errors
        for a lost race."""
        return await self._committer.submit(new.thread_id, row(new, claim_for, room))

    async def close(self) -> None:
        """Finishes what is under way."""
        await self._committer.close()

    async def _store(self, works: Sequence[Row]) -> Sequence[asyncpg.Record | None]:
        # The statement gives each thread one run; further runs of a thread are stored under a lock anyway.
        first = {work[THREAD]: work for work in reversed(works)}
        stored = await self._database.rows(ENQUEUE, *columns(list(first.values())))
        by_thread = {found["thread_id"]: found for found in stored}
        return [by_thread.get(work[THREAD]) if first[work[THREAD]] is work else None for work in works]


def row(new: NewRun, claim_for: str | None, room: int) -> Row:
    """A run as the statements take it, in the order of their columns."""
    level = fairness.level_of(new)
    return (
        new.run_id,
        new.thread_id,
        new.assistant_id,
        dump(new.kwargs),
        dump(new.metadata),
        transitions.CODE[new.priority],
        new.multitask_strategy,
        float(new.delay_seconds),
        new.create_thread,
        dump(new.thread_metadata),
        new.delete_thread_after,
        claim_for,
        room,
        fairness.rank_offset(level),
        new.webhook,
        escape(who()),
        dump(new.created_metadata),
        document_list(new.scope),
        level,
        escape(new.group),
        new.assigned_priority.level if new.assigned_priority else None,
        escape(new.assigned_priority.group) if new.assigned_priority else None,
        *lifetime_columns(new.thread_ttl),
        new.assistant_as_of,
        dump_optional(new.thread_config),
        new.graph_id,
    )
