"""The records of threads in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.database.json_columns import dump, dump_optional, escape
from lgs_runtime.database.postgres import Database
from lgs_runtime.errors import Conflict, NotFound, existing
from lgs_runtime.model import (
    Json,
    Scope,
    Signal,
    Thread,
    ThreadStatus,
    Ttl,
)
from lgs_runtime.storage.actor import who
from lgs_runtime.storage.lifetime import columns
from lgs_runtime.storage.postgres import rows
from lgs_runtime.storage.postgres.audit import note
from lgs_runtime.storage.postgres.signals import PostgresSignals
from lgs_runtime.storage.postgres.statements.audit import NOTE_CREATED
from lgs_runtime.storage.postgres.statements.threads import (
    CHANGED_THREADS,
    COPY_THREAD,
    COUNT_THREADS,
    CREATE_THREAD,
    DELETE_RUNS_OF_THREAD,
    DELETE_THREAD,
    EXPIRE_THREAD,
    EXPIRED_THREADS,
    LOCK_THREAD,
    NOTE_PRUNED,
    SET_THREAD_STATE,
    STALE_THREADS,
    THREAD,
    THREADS,
    UPDATE_THREAD,
)
from lgs_runtime.storage.queries import ThreadQuery
from lgs_runtime.storage.scope import documents


class PostgresThreads:
    """Implements `Threads` of the contract."""

    def __init__(self, database: Database, signals: PostgresSignals) -> None:
        self._database = database
        self._signals = signals

    async def create(
        self,
        thread_id: str,
        metadata: Json,
        if_exists: str = "raise",
        ttl: Ttl | None = None,
        scope: Scope | None = None,
    ) -> Thread:
        row = await self._database.row(CREATE_THREAD, thread_id, dump(metadata), *columns(ttl), escape(who()))
        if row is not None:
            return rows.thread(row)
        if if_exists == "do_nothing":
            with suppress(NotFound):
                return await self.get(thread_id, scope)
        raise Conflict(f"thread {thread_id} exists: if_exists is raise; use do_nothing to get it")

    async def get(self, thread_id: str, scope: Scope | None = None) -> Thread:
        row = await self._database.row(THREAD, thread_id, documents(scope))
        return rows.thread(existing(row, "thread", thread_id))

    async def update(
        self,
        thread_id: str,
        metadata: Json,
        ttl: Ttl | None = None,
        scope: Scope | None = None,
    ) -> Thread:
        seconds, strategy = columns(ttl)
        row = await self._database.row(
            UPDATE_THREAD,
            thread_id,
            dump(metadata),
            seconds,
            documents(scope),
            escape(who()),
            [escape(str(name)) for name in metadata],
            strategy,
        )
        return rows.thread(existing(row, "thread", thread_id))

    async def set_state(self, thread_id: str, values: Json, interrupts: Json, status: ThreadStatus) -> Thread:
        row = await self._database.row(
            SET_THREAD_STATE,
            thread_id,
            dump(values),
            dump(interrupts),
            status,
            escape(who()),
        )
        return rows.thread(existing(row, "thread", thread_id))

    async def delete(self, thread_id: str, scope: Scope | None = None, *, replaced: bool = False) -> None:
        if not await self.remove(thread_id, scope, replaced=replaced):
            raise NotFound("thread", thread_id)

    async def copy(
        self,
        thread_id: str,
        new_thread_id: str,
        metadata: Json | None = None,
        scope: Scope | None = None,
        ttl: Ttl | None = None,
    ) -> Thread:
        values = (thread_id, new_thread_id, escape(who()), dump_optional(metadata), documents(scope))
        try:
            row = await self._database.row(COPY_THREAD, *values, *columns(ttl))
        except asyncpg.UniqueViolationError as error:
            raise Conflict(f"thread {new_thread_id} exists: a copy needs an id of its own") from error
        return rows.thread(existing(row, "thread", thread_id))

    async def search(self, query: ThreadQuery) -> Sequence[Thread]:
        statement = THREADS.format(order=query.order)
        page = query.page
        found = await self._database.rows(statement, *_threads(query), page.limit, page.offset)
        return [rows.thread(row) for row in found]

    async def count(self, query: ThreadQuery) -> int:
        count: int = await self._database.value(COUNT_THREADS, *_threads(query))
        return count

    async def expire(self, limit: int) -> Sequence[str]:
        found = await self._database.rows(EXPIRED_THREADS, limit)
        gone = [await self._database.value(EXPIRE_THREAD, row["thread_id"]) for row in found]
        return [thread_id for thread_id in gone if thread_id is not None]

    async def stale(self, limit: int) -> Sequence[Thread]:
        return [rows.thread(row) for row in await self._database.rows(STALE_THREADS, limit)]

    async def note_pruned(self, thread: Thread) -> None:
        await self._database.rows(NOTE_PRUNED, thread.thread_id, thread.updated_at)

    async def changed(self, seen: Mapping[str, datetime | None]) -> Collection[str]:
        found = await self._database.rows(CHANGED_THREADS, list(seen), list(seen.values()))
        return [row["thread_id"] for row in found]

    async def remove(self, thread_id: str, scope: Scope | None, *, replaced: bool = False) -> bool:
        """Like `delete`, but returns whether the thread existed instead of raising."""

        async def work(connection: asyncpg.Connection) -> list[asyncpg.Record] | None:
            if await connection.fetchrow(LOCK_THREAD, thread_id, documents(scope)) is None:
                return None
            await connection.execute(NOTE_CREATED, thread_id)
            runs: list[asyncpg.Record] = await connection.fetch(DELETE_RUNS_OF_THREAD, thread_id)
            await connection.execute(DELETE_THREAD, thread_id, replaced)
            await note(connection, thread_id, "thread.deleted", {})
            return runs

        runs = await self._database.transact(work)
        if runs is None:
            return False
        for row in runs:
            if row["status"] == "running":
                self._signals.send(Signal("cancel", row["run_id"]))
            if row["status"] in ("pending", "running"):
                self._signals.send(Signal("finished", row["run_id"]))
        self._signals.send(Signal("thread", thread_id))
        return True


def _threads(query: ThreadQuery) -> tuple[Any, ...]:
    """The conditions of a search, as the statements take them."""
    ids = None if query.ids is None else list(query.ids)
    contained = (dump_optional(query.metadata), dump_optional(query.values))
    return (ids, *contained, query.status, documents(query.scope))
