"""Runs as records in PostgreSQL, their webhooks, and checkpoints without a thread."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from lgs_runtime.database.json_columns import dump_optional, escape
from lgs_runtime.database.postgres import Database
from lgs_runtime.errors import Conflict, NotFound
from lgs_runtime.model import (
    CancelAction,
    Run,
    RunStatus,
    Scope,
    Webhook,
)
from lgs_runtime.storage.actor import who
from lgs_runtime.storage.postgres import rows
from lgs_runtime.storage.postgres.statements.runs import (
    CLAIM_WEBHOOKS,
    DELETE_RUN,
    DROP_WEBHOOK,
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
from lgs_runtime.storage.queries import RunQuery
from lgs_runtime.storage.scope import documents


class PostgresRuns:
    """Implements `Runs` of the contract."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, run_id: str, thread_id: str | None = None, scope: Scope | None = None) -> Run:
        row = await self._database.row(RUN, run_id, thread_id, documents(scope))
        if row is None:
            raise NotFound("run", run_id)
        return rows.run(row)

    async def of_thread(self, thread_id: str, query: RunQuery) -> Sequence[Run]:
        return await self._runs(RUNS, thread_id, query)

    async def of_user(self, user: str, query: RunQuery) -> Sequence[Run]:
        return await self._runs(RUNS_OF, escape(user), query)

    async def unfinished(
        self,
        statuses: Sequence[RunStatus],
        not_asked: CancelAction,
        before: datetime,
        scope: Scope | None = None,
        assistant_id: str | None = None,
    ) -> Sequence[str]:
        wanted = (list(statuses), not_asked, before, documents(scope), assistant_id)
        found = await self._database.rows(UNFINISHED_RUNS, *wanted)
        return [row["run_id"] for row in found]

    async def finished(self, run_ids: Collection[str]) -> Collection[str]:
        found = await self._database.rows(FINISHED_RUNS, list(run_ids))
        return [row["run_id"] for row in found]

    async def delete(self, thread_id: str, run_id: str, scope: Scope | None = None) -> None:
        values = (run_id, thread_id, documents(scope), escape(who()))
        if await self._database.value(DELETE_RUN, *values) is None:
            run = await self.get(run_id, thread_id, scope)
            raise Conflict(
                f"run {run_id} is {run.status}: only a finished run can be deleted; cancel it first"
            )

    async def expire(self, older_than_hours: float) -> int:
        expired: int = await self._database.value(EXPIRE_RUNS, older_than_hours)
        return expired

    async def _runs(self, statement: str, owner: str | None, query: RunQuery) -> Sequence[Run]:
        page, wanted = query.page, (query.status, dump_optional(query.metadata), documents(query.scope))
        found = await self._database.rows(statement, owner, *wanted, page.limit, page.offset)
        return [rows.run(row) for row in found]


class PostgresWebhooks:
    """Implements `Webhooks` of the contract."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, limit: int, pauses: Sequence[float]) -> Sequence[Webhook]:
        """One statement."""
        found = await self._database.rows(CLAIM_WEBHOOKS, limit, list(pauses))
        return [rows.webhook(row) for row in found]

    async def release(self, run_id: str, seconds: float) -> None:
        await self._database.rows(RELEASE_WEBHOOK, run_id, seconds)

    async def drop(self, run_id: str) -> None:
        await self._database.rows(DROP_WEBHOOK, run_id)


class PostgresOrphans:
    """Implements `Orphans` of the contract."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def older_than(self, older_than_seconds: float) -> Sequence[str]:
        found = await self._database.rows(ORPHANED_THREADS, older_than_seconds)
        return [row["thread_id"] for row in found]

    async def expect(self, thread_id: str, seconds: float) -> None:
        await self._database.rows(EXPECT_ORPHANED, thread_id, seconds)

    async def forget(self, thread_ids: Sequence[str]) -> None:
        await self._database.rows(FORGET_ORPHANED, list(thread_ids))
