"""The queue of runs in SQLite. Each method is one write, whose steps `arrivals`, `claims`, `cancelling` and
`endings` know, or one read."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from lgs_runtime.database.json_columns import dump, dump_optional, escape
from lgs_runtime.database.sqlite import Database
from lgs_runtime.errors import NotFound
from lgs_runtime.model import (
    CancelAction,
    Enqueued,
    Finished,
    NewRun,
    Outcome,
    Priority,
    PriorityDepth,
    QueueDepth,
    QueueLimits,
    Run,
    RunStatus,
    Scope,
    Signal,
    Webhook,
)
from lgs_runtime.storage import transitions
from lgs_runtime.storage.actor import who
from lgs_runtime.storage.options import StorageOptions
from lgs_runtime.storage.queries import RunQuery
from lgs_runtime.storage.scope import document_list
from lgs_runtime.storage.sqlite import arrivals, cancelling, claims, rows, statements
from lgs_runtime.storage.sqlite import completion as endings
from lgs_runtime.storage.sqlite.change import Change
from lgs_runtime.storage.sqlite.signals import Sender

_Result = TypeVar("_Result")
LONG_WAIT_SECONDS = 0.5
"""To wait so long for the file means that somebody stood still."""


class SqliteQueue:
    """The `Queue` of the contract."""

    def __init__(self, database: Database, sender: Sender, options: StorageOptions) -> None:
        self._database = database
        self._sender = sender
        self._options = options

    async def _change(self, work: Callable[[Change], _Result]) -> _Result:
        """Runs `work` in a transaction and sends the news it makes when that is committed."""
        notifications: list[Signal] = []
        asker, options = who(), self._options
        result = await self._database.write(lambda c: work(Change(c, notifications, asker, options)))
        self._sender.send(*notifications)
        return result

    async def enqueue(self, new: NewRun, limits: QueueLimits, claim_for: str | None = None) -> Enqueued:
        row = await self._change(lambda change: arrivals.enqueue(change, new, limits, claim_for))
        return Enqueued(rows.run(row), row["status"] == "running" and row["claimed_by"] == claim_for)

    async def enqueue_all(self, new: Sequence[NewRun], limits: QueueLimits) -> Sequence[Run]:
        stored = await self._change(
            lambda change: [arrivals.enqueue(change, one, limits, None) for one in new]
        )
        return [rows.run(row) for row in stored]

    async def take_only(self, replica: str, graphs: Sequence[str]) -> None:
        named = {"replica": replica, "graphs": dump(list(graphs))}
        await self._database.write(lambda c: c.execute(statements.TAKE_ONLY, named).rowcount)

    async def claim(self, replica: str, slots: int, graphs: Sequence[str] | None = None) -> Sequence[Run]:
        """Looks before it takes the write lock, so that idle replicas don't disturb."""
        among = None if graphs is None else dump(list(graphs))
        if slots < 1 or not await self._database.read(lambda c: _anything_claimable(c, replica, among)):
            return []
        found = await self._change(lambda change: claims.claim(change, replica, slots, among))
        return [rows.run(row) for row in found]

    async def held(self, replica: str) -> Sequence[Run]:
        by = {"replica": replica}
        found = await self._database.read(lambda c: c.execute(statements.HELD_BY, by).fetchall())
        return [rows.run(row) for row in found]

    async def finish(self, run: Run, replica: str, outcome: Outcome) -> Finished:
        return await self._change(lambda change: endings.finish(change, run, replica, outcome))

    async def release(self, replica: str, runs: Sequence[Run]) -> None:
        if runs:
            await self._change(lambda change: claims.release(change, replica, runs))

    async def reap(self, max_attempts: int, replica: str | None = None) -> Sequence[Run]:
        """One read when nobody was lost."""
        if not await self._database.read(lambda connection: _lost(connection, replica)):
            return []
        asked_at = time.monotonic()

        def reap(change: Change) -> Sequence[Run]:
            if time.monotonic() - asked_at > LONG_WAIT_SECONDS:
                # Whoever stood still in the middle of a transaction has kept the others from renewing their
                # leases: they come first.
                return []
            return claims.reap(change, max_attempts, replica)

        return await self._change(reap)

    async def cancel(
        self,
        thread_id: str | None,
        run_ids: Sequence[str],
        action: CancelAction,
        scope: Scope | None = None,
    ) -> Sequence[Run]:
        if not run_ids:
            return []
        return await self._change(lambda change: cancelling.cancel(change, thread_id, run_ids, action, scope))

    async def unfinished(
        self,
        statuses: Sequence[RunStatus],
        not_asked: CancelAction,
        before: datetime,
        scope: Scope | None = None,
    ) -> Sequence[str]:
        wanted = {
            "statuses": dump(list(statuses)),
            "not_asked": not_asked,
            "before": before.timestamp(),
            "scope": document_list(scope),
        }
        found = await self._database.read(lambda c: c.execute(statements.UNFINISHED_RUNS, wanted).fetchall())
        return [row["run_id"] for row in found]

    async def run(self, run_id: str, thread_id: str | None = None, scope: Scope | None = None) -> Run:
        wanted = {"run_id": run_id, "thread_id": thread_id, "scope": document_list(scope)}
        row = await self._database.read(lambda c: c.execute(statements.RUN, wanted).fetchone())
        if row is None:
            raise NotFound("run", run_id)
        return rows.run(row)

    async def runs(self, thread_id: str, query: RunQuery) -> Sequence[Run]:
        return await self._runs(statements.RUNS, {"thread_id": thread_id}, query)

    async def runs_of(self, user: str, query: RunQuery) -> Sequence[Run]:
        return await self._runs(statements.RUNS_OF, {"user": escape(user)}, query)

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

    async def delete_run(self, thread_id: str, run_id: str, scope: Scope | None = None) -> None:
        await self._change(lambda change: cancelling.delete_finished(change, thread_id, run_id, scope))

    async def expire_runs(self, older_than_hours: float) -> int:
        before = {"before": time.time() - older_than_hours * 3600}
        return await self._database.write(lambda c: c.execute(statements.EXPIRE_RUNS, before).rowcount)

    async def claim_webhooks(
        self, limit: int, retry_seconds: float, longest_seconds: float
    ) -> Sequence[Webhook]:
        """One read when none is due."""
        if not await self._database.read(_any_webhook):
            return []
        due = await self._change(
            lambda change: claims.claim_webhooks(change, limit, retry_seconds, longest_seconds)
        )
        return [rows.webhook(row) for row in due]

    async def release_webhook(self, run_id: str, seconds: float) -> None:
        given = {"run_id": run_id, "due_at": time.time() + seconds}
        await self._database.write(lambda c: c.execute(statements.RELEASE_WEBHOOK, given).rowcount)

    async def drop_webhook(self, run_id: str) -> None:
        named = {"run_id": run_id}
        await self._database.write(lambda c: c.execute(statements.DROP_WEBHOOK, named).rowcount)

    async def orphaned_threads(self, older_than_seconds: float) -> Sequence[str]:
        before = {"before": time.time() - older_than_seconds}
        found = await self._database.read(lambda c: c.execute(statements.ORPHANED_THREADS, before).fetchall())
        return [row["thread_id"] for row in found]

    async def forget_orphaned(self, thread_ids: Sequence[str]) -> None:
        named = {"thread_ids": dump(list(thread_ids))}
        await self._database.write(lambda c: c.execute(statements.FORGET_ORPHANED, named).rowcount)

    async def depth(self) -> QueueDepth:
        """One statement over the waiting runs."""
        now = _clocks()
        counted = await self._database.read(lambda c: c.execute(statements.DEPTH, now).fetchall())
        found = {row["priority"]: row for row in counted if row["unserved"] is None}

        def of(priority: Priority) -> PriorityDepth:
            row = found.get(transitions.CODE[priority])
            return PriorityDepth(row["waiting"], row["oldest"]) if row else PriorityDepth(0, 0.0)

        blocked = sum(row["blocked"] for row in counted)
        unserved = transitions.by_graph((row["unserved"], row["waiting"]) for row in counted)
        return QueueDepth(of(Priority.HIGH), of(Priority.NORMAL), of(Priority.LOW), blocked, unserved)


def _clocks() -> dict[str, float]:
    return {"now": time.time(), "steady": time.monotonic()}


def _anything_claimable(connection: sqlite3.Connection, replica: str, graphs: str | None) -> bool:
    lease = connection.execute(statements.GRAPHS_OF, {"replica": replica}).fetchone()
    asked = {**_clocks(), "graphs": graphs or (lease["graphs"] if lease else None)}
    return bool(connection.execute(statements.ANYTHING_CLAIMABLE, asked).fetchall())


def _any_webhook(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute(statements.ANY_WEBHOOK, _clocks()).fetchall())


def _lost(connection: sqlite3.Connection, replica: str | None) -> bool:
    asked = {**_clocks(), "replica": replica}
    return bool(connection.execute(statements.LOST, asked).fetchall())
