"""Assistants and threads in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.database.json_columns import dump, dump_optional, escape
from lgs_runtime.database.postgres import Database
from lgs_runtime.errors import Conflict, NotFound
from lgs_runtime.model import Assistant, Json, Page, Scope, Signal, Thread, ThreadStatus, Ttl
from lgs_runtime.storage.actor import who
from lgs_runtime.storage.lifetime import columns
from lgs_runtime.storage.postgres import record_statements as statements
from lgs_runtime.storage.postgres import rows
from lgs_runtime.storage.postgres.audit import NOTE_CREATED, note
from lgs_runtime.storage.postgres.signals import Sender
from lgs_runtime.storage.queries import AssistantQuery, ThreadQuery
from lgs_runtime.storage.scope import documents
from lgs_runtime.storage.transitions import with_changes


class PostgresRecords:
    """The `Records` of the contract."""

    def __init__(self, database: Database, sender: Sender) -> None:
        self._database = database
        self._sender = sender

    async def create_assistant(
        self, assistant: Assistant, if_exists: str = "raise", scope: Scope | None = None
    ) -> Assistant:
        row = await self._database.row(
            statements.CREATE_ASSISTANT, assistant.assistant_id, *_assistant_values(assistant)
        )
        if row is not None:
            return rows.assistant(row)
        if if_exists == "do_nothing":
            with suppress(NotFound):
                return await self.assistant(assistant.assistant_id, scope)
        raise Conflict(
            f"assistant {assistant.assistant_id} exists: if_exists is raise; use do_nothing to get it"
        )

    async def assistant(self, assistant_id: str, scope: Scope | None = None) -> Assistant:
        row = await self._database.row(statements.ASSISTANT, assistant_id, documents(scope))
        return rows.assistant(_found(row, "assistant", assistant_id))

    async def update_assistant(
        self, assistant_id: str, changes: Mapping[str, Any], scope: Scope | None = None
    ) -> Assistant:

        async def work(connection: asyncpg.Connection) -> Assistant:
            locked = await connection.fetchrow(statements.LOCK_ASSISTANT, assistant_id, documents(scope))
            changed = with_changes(rows.assistant(_found(locked, "assistant", assistant_id)), changes)
            # A statement of its own: it sees what was committed while this one waited for the lock.
            newest = await connection.fetchval(statements.NEWEST_VERSION, assistant_id)
            row = await connection.fetchrow(
                statements.ADD_VERSION, assistant_id, newest + 1, *_assistant_values(changed)
            )
            return rows.assistant(_found(row, "assistant", assistant_id))

        return await self._database.transact(work)

    async def assistant_versions(
        self, assistant_id: str, page: Page, metadata: Json | None = None, scope: Scope | None = None
    ) -> Sequence[Assistant]:
        wanted = (assistant_id, dump_optional(metadata), page.limit, page.offset, documents(scope))
        found = await self._database.rows(statements.VERSIONS, *wanted)
        return [rows.assistant(row) for row in found]

    async def set_latest(self, assistant_id: str, version: int, scope: Scope | None = None) -> Assistant:
        row = await self._database.row(statements.SET_LATEST, assistant_id, version, documents(scope))
        return rows.assistant(_found(row, "assistant", f"{assistant_id} version {version}"))

    async def delete_assistant(
        self,
        assistant_id: str,
        *,
        delete_threads: bool = False,
        scope: Scope | None = None,
        threads_scope: Scope | None = None,
    ) -> None:
        threads = []
        if delete_threads:
            within = documents(threads_scope)
            threads = await self._database.rows(statements.THREADS_OF_ASSISTANT, assistant_id, within)
        gone = await self._database.row(statements.DELETE_ASSISTANT, assistant_id, documents(scope))
        _found(gone, "assistant", assistant_id)
        for row in threads:
            await self._delete_thread(row["thread_id"], threads_scope)

    async def assistants(self, query: AssistantQuery) -> Sequence[Assistant]:
        statement = statements.ASSISTANTS.format(order=query.order)
        page = query.page
        found = await self._database.rows(statement, *_assistants(query), page.limit, page.offset)
        return [rows.assistant(row) for row in found]

    async def count_assistants(self, query: AssistantQuery) -> int:
        count: int = await self._database.value(statements.COUNT_ASSISTANTS, *_assistants(query))
        return count

    async def create_thread(
        self,
        thread_id: str,
        metadata: Json,
        if_exists: str = "raise",
        ttl: Ttl | None = None,
        scope: Scope | None = None,
    ) -> Thread:
        row = await self._database.row(
            statements.CREATE_THREAD, thread_id, dump(metadata), *columns(ttl), escape(who())
        )
        if row is not None:
            return rows.thread(row)
        if if_exists == "do_nothing":
            with suppress(NotFound):
                return await self.thread(thread_id, scope)
        raise Conflict(f"thread {thread_id} exists: if_exists is raise; use do_nothing to get it")

    async def thread(self, thread_id: str, scope: Scope | None = None) -> Thread:
        row = await self._database.row(statements.THREAD, thread_id, documents(scope))
        return rows.thread(_found(row, "thread", thread_id))

    async def update_thread(
        self,
        thread_id: str,
        metadata: Json,
        ttl: Ttl | None = None,
        scope: Scope | None = None,
    ) -> Thread:
        seconds, strategy = columns(ttl)
        row = await self._database.row(
            statements.UPDATE_THREAD,
            thread_id,
            dump(metadata),
            seconds,
            documents(scope),
            escape(who()),
            [escape(str(name)) for name in metadata],
            strategy,
        )
        return rows.thread(_found(row, "thread", thread_id))

    async def set_thread_state(
        self, thread_id: str, values: Json, interrupts: Json, status: ThreadStatus
    ) -> Thread:
        row = await self._database.row(
            statements.SET_THREAD_STATE,
            thread_id,
            dump(values),
            dump(interrupts),
            status,
            escape(who()),
        )
        return rows.thread(_found(row, "thread", thread_id))

    async def delete_thread(self, thread_id: str, scope: Scope | None = None) -> None:
        if not await self._delete_thread(thread_id, scope):
            raise NotFound("thread", thread_id)

    async def _delete_thread(self, thread_id: str, scope: Scope | None) -> bool:
        async def work(connection: asyncpg.Connection) -> list[asyncpg.Record] | None:
            if await connection.fetchrow(statements.LOCK_THREAD, thread_id, documents(scope)) is None:
                return None
            await connection.execute(NOTE_CREATED, thread_id)
            runs: list[asyncpg.Record] = await connection.fetch(statements.DELETE_RUNS_OF_THREAD, thread_id)
            await connection.execute(statements.DELETE_THREAD, thread_id)
            await note(connection, thread_id, "thread.deleted", {})
            return runs

        runs = await self._database.transact(work)
        if runs is None:
            return False
        for row in runs:
            if row["status"] == "running":
                self._sender.send(Signal("cancel", row["run_id"]))
            if row["status"] in ("pending", "running"):
                self._sender.send(Signal("finished", row["run_id"]))
        self._sender.send(Signal("thread", thread_id))
        return True

    async def copy_thread(
        self,
        thread_id: str,
        new_thread_id: str,
        metadata: Json | None = None,
        scope: Scope | None = None,
        ttl: Ttl | None = None,
    ) -> Thread:
        values = (thread_id, new_thread_id, escape(who()), dump_optional(metadata), documents(scope))
        try:
            row = await self._database.row(statements.COPY_THREAD, *values, *columns(ttl))
        except asyncpg.UniqueViolationError as error:
            raise Conflict(f"thread {new_thread_id} exists: a copy needs an id of its own") from error
        return rows.thread(_found(row, "thread", thread_id))

    async def threads(self, query: ThreadQuery) -> Sequence[Thread]:
        statement = statements.THREADS.format(order=query.order)
        page = query.page
        found = await self._database.rows(statement, *_threads(query), page.limit, page.offset)
        return [rows.thread(row) for row in found]

    async def count_threads(self, query: ThreadQuery) -> int:
        count: int = await self._database.value(statements.COUNT_THREADS, *_threads(query))
        return count

    async def expire_threads(self, limit: int) -> Sequence[str]:
        found = await self._database.rows(statements.MORTAL_THREADS, limit)
        gone = [await self._database.value(statements.EXPIRE_THREAD, row["thread_id"]) for row in found]
        return [thread_id for thread_id in gone if thread_id is not None]

    async def stale_threads(self, limit: int) -> Sequence[Thread]:
        return [rows.thread(row) for row in await self._database.rows(statements.STALE_THREADS, limit)]

    async def note_pruned(self, thread: Thread) -> None:
        await self._database.rows(statements.NOTE_PRUNED, thread.thread_id, thread.updated_at)


def _found(row: asyncpg.Record | None, kind: str, name: str) -> asyncpg.Record:
    if row is None:
        raise NotFound(kind, name)
    return row


def _assistants(query: AssistantQuery) -> tuple[Any, ...]:
    """What is looked for, as the statements take it."""
    return (query.graph_id, escape(query.name), dump_optional(query.metadata), documents(query.scope))


def _threads(query: ThreadQuery) -> tuple[Any, ...]:
    """What is looked for, as the statements take it."""
    ids = None if query.ids is None else list(query.ids)
    contained = (dump_optional(query.metadata), dump_optional(query.values))
    return (ids, *contained, query.status, documents(query.scope))


def _assistant_values(assistant: Assistant) -> tuple[str | None, ...]:
    return (
        assistant.graph_id,
        escape(assistant.name),
        escape(assistant.description),
        dump(assistant.config),
        dump(assistant.context),
        dump(assistant.metadata),
    )
