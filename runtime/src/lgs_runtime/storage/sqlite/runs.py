"""Runs as records in SQLite, their webhooks, and checkpoints without a thread."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Sequence
from datetime import datetime

from lgs_runtime.database.json_columns import dump, dump_optional, escape
from lgs_runtime.database.sqlite import Database
from lgs_runtime.errors import Conflict, NotFound
from lgs_runtime.model import (
    FINAL,
    CancelAction,
    Run,
    RunStatus,
    Scope,
    Webhook,
)
from lgs_runtime.storage.queries import RunQuery
from lgs_runtime.storage.scope import document_list
from lgs_runtime.storage.sqlite import rows
from lgs_runtime.storage.sqlite.access import all_read
from lgs_runtime.storage.sqlite.audit import note
from lgs_runtime.storage.sqlite.change import Change, Changes
from lgs_runtime.storage.sqlite.statements.runs import (
    ANY_WEBHOOK,
    CHARGE_WEBHOOK,
    DELETE_RUN,
    DROP_WEBHOOK,
    DUE_WEBHOOKS,
    EXPECT_ORPHANED,
    EXPIRE_RUNS,
    FINISHED_RUNS,
    FORGET_ORPHANED,
    ORPHANED_THREADS,
    RELEASE_WEBHOOK,
    RUN,
    RUNS,
    RUNS_OF,
    UNFINISHED_RUNS,
)


class SqliteRuns:
    """Implements `Runs` of the contract."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._database = changes.database

    async def get(self, run_id: str, thread_id: str | None = None, scope: Scope | None = None) -> Run:
        wanted = {"run_id": run_id, "thread_id": thread_id, "scope": document_list(scope)}
        row = await self._database.read(lambda c: c.execute(RUN, wanted).fetchone())
        if row is None:
            raise NotFound("run", run_id)
        return rows.run(row)

    async def of_thread(self, thread_id: str, query: RunQuery) -> Sequence[Run]:
        return await self._runs(RUNS, {"thread_id": thread_id}, query)

    async def of_user(self, user: str, query: RunQuery) -> Sequence[Run]:
        return await self._runs(RUNS_OF, {"user": escape(user)}, query)

    async def unfinished(
        self,
        statuses: Sequence[RunStatus],
        not_asked: CancelAction,
        before: datetime,
        scope: Scope | None = None,
        assistant_id: str | None = None,
    ) -> Sequence[str]:
        wanted = {
            "statuses": dump(list(statuses)),
            "not_asked": not_asked,
            "before": before.timestamp(),
            "scope": document_list(scope),
            "assistant_id": assistant_id,
        }
        found = await self._database.read(lambda c: c.execute(UNFINISHED_RUNS, wanted).fetchall())
        return [row["run_id"] for row in found]

    async def finished(self, run_ids: Collection[str]) -> Collection[str]:
        found = await all_read(self._database, FINISHED_RUNS, {"run_ids": dump(list(run_ids))})
        return [row[0] for row in found]

    async def delete(self, thread_id: str, run_id: str, scope: Scope | None = None) -> None:
        await self._changes.run(lambda change: _delete_finished(change, thread_id, run_id, scope))

    async def expire(self, older_than_hours: float) -> int:
        before = {"before": time.time() - older_than_hours * 3600}
        return await self._database.write(lambda c: c.execute(EXPIRE_RUNS, before).rowcount)

    async def _runs(self, statement: str, owner: dict[str, str | None], query: RunQuery) -> Sequence[Run]:
        wanted = {
            **owner,
            "status": query.status,
            "metadata": dump_optional(query.metadata),
            "scope": document_list(query.scope),
            "limit": query.page.limit,
            "offset": query.page.offset,
        }
        found = await self._database.read(lambda c: c.execute(statement, wanted).fetchall())
        return [rows.run(row) for row in found]


class SqliteWebhooks:
    """Implements `Webhooks` of the contract."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._database = changes.database

    async def claim(self, limit: int, pauses: Sequence[float]) -> Sequence[Webhook]:
        """One read when there is no webhook to call."""
        if not await all_read(self._database, ANY_WEBHOOK, {}):
            return []
        due = await self._changes.run(lambda change: _claim_webhooks(change, limit, pauses))
        return [rows.webhook(row) for row in due]

    async def release(self, run_id: str, seconds: float) -> None:
        given = {"run_id": run_id, "due_at": time.time() + seconds}
        await self._database.write(lambda c: c.execute(RELEASE_WEBHOOK, given).rowcount)

    async def drop(self, run_id: str) -> None:
        named = {"run_id": run_id}
        await self._database.write(lambda c: c.execute(DROP_WEBHOOK, named).rowcount)


class SqliteOrphans:
    """Implements `Orphans` of the contract."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def older_than(self, older_than_seconds: float) -> Sequence[str]:
        before = {"before": time.time() - older_than_seconds}
        found = await self._database.read(lambda c: c.execute(ORPHANED_THREADS, before).fetchall())
        return [row["thread_id"] for row in found]

    async def expect(self, thread_id: str, seconds: float) -> None:
        values = {"thread_id": thread_id, "now": time.time() + seconds}
        await self._database.write(lambda c: c.execute(EXPECT_ORPHANED, values).rowcount)

    async def forget(self, thread_ids: Sequence[str]) -> None:
        named = {"thread_ids": dump(list(thread_ids))}
        await self._database.write(lambda c: c.execute(FORGET_ORPHANED, named).rowcount)


def _claim_webhooks(change: Change, limit: int, pauses: Sequence[float]) -> list[sqlite3.Row]:
    """The webhooks that are due; each becomes due again later, unless it is dropped."""
    due = change.all(DUE_WEBHOOKS, limit=limit)
    for row in due:
        pause = pauses[min(row["webhook_attempts"], len(pauses)) - 1]
        change.run(CHARGE_WEBHOOK, run_id=row["run_id"], pause=pause)
    return due


def _delete_finished(change: Change, thread_id: str, run_id: str, scope: Scope | None) -> None:
    """Deletes the record of a finished run. Raises `NotFound`, `Conflict`."""
    run = change.named(run_id, thread_id, scope)
    status = run["status"]
    if status not in FINAL:
        raise Conflict(f"run {run_id} is {status}: only a finished run can be deleted; cancel it first")
    change.run(DELETE_RUN, run_id=run_id)
    if not run["delete_thread_after"]:
        note(change.connection, thread_id, "run.deleted", {"run_id": run_id}, change.asker)
