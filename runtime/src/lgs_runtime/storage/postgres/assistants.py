"""Assistants and their versions in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.database.json_columns import dump, dump_optional, escape
from lgs_runtime.database.postgres import Database
from lgs_runtime.errors import Conflict, NotFound, existing
from lgs_runtime.model import (
    Assistant,
    Json,
    Page,
    Scope,
)
from lgs_runtime.storage.postgres import rows
from lgs_runtime.storage.postgres.statements.assistants import (
    ADD_VERSION,
    ASSISTANT,
    ASSISTANTS,
    AWAIT_ARRIVALS,
    COUNT_ASSISTANTS,
    CREATE_ASSISTANT,
    DELETE_ASSISTANT,
    LOCK_ASSISTANT,
    NEWEST_VERSION,
    SET_LATEST,
    THREADS_OF_ASSISTANT,
    VERSIONS,
)
from lgs_runtime.storage.postgres.threads import PostgresThreads
from lgs_runtime.storage.queries import AssistantQuery
from lgs_runtime.storage.scope import documents
from lgs_runtime.storage.transitions import with_changes


class PostgresAssistants:
    """Implements `Assistants` of the contract."""

    def __init__(self, database: Database, threads: PostgresThreads) -> None:
        self._database = database
        self._threads = threads

    async def create(
        self, assistant: Assistant, if_exists: str = "raise", scope: Scope | None = None
    ) -> Assistant:
        row = await self._database.row(
            CREATE_ASSISTANT, assistant.assistant_id, *_assistant_values(assistant)
        )
        if row is not None:
            return rows.assistant(row)
        if if_exists == "do_nothing":
            with suppress(NotFound):
                return await self.get(assistant.assistant_id, scope)
        raise Conflict(
            f"assistant {assistant.assistant_id} exists: if_exists is raise; use do_nothing to get it"
        )

    async def get(self, assistant_id: str, scope: Scope | None = None) -> Assistant:
        row = await self._database.row(ASSISTANT, assistant_id, documents(scope))
        return rows.assistant(existing(row, "assistant", assistant_id))

    async def update(
        self, assistant_id: str, changes: Mapping[str, Any], scope: Scope | None = None
    ) -> Assistant:

        async def work(connection: asyncpg.Connection) -> Assistant:
            locked = await connection.fetchrow(LOCK_ASSISTANT, assistant_id, documents(scope))
            changed = with_changes(rows.assistant(existing(locked, "assistant", assistant_id)), changes)
            # A separate statement: it sees what was committed while the one before waited for the lock.
            newest = await connection.fetchval(NEWEST_VERSION, assistant_id)
            row = await connection.fetchrow(
                ADD_VERSION, assistant_id, newest + 1, *_assistant_values(changed)
            )
            return rows.assistant(existing(row, "assistant", assistant_id))

        return await self._database.transact(work)

    async def versions(
        self, assistant_id: str, page: Page, metadata: Json | None = None, scope: Scope | None = None
    ) -> Sequence[Assistant]:
        wanted = (assistant_id, dump_optional(metadata), page.limit, page.offset, documents(scope))
        found = await self._database.rows(VERSIONS, *wanted)
        return [rows.assistant(row) for row in found]

    async def set_latest(self, assistant_id: str, version: int, scope: Scope | None = None) -> Assistant:
        row = await self._database.row(SET_LATEST, assistant_id, version, documents(scope))
        return rows.assistant(existing(row, "assistant", f"{assistant_id} version {version}"))

    async def delete(
        self,
        assistant_id: str,
        *,
        delete_threads: bool = False,
        scope: Scope | None = None,
        threads_scope: Scope | None = None,
    ) -> None:
        gone = await self._database.row(DELETE_ASSISTANT, assistant_id, documents(scope))
        existing(gone, "assistant", assistant_id)
        # A run that is being stored now may have found the assistant: statements lock their tables before
        # they read.
        await self._database.rows(AWAIT_ARRIVALS)
        if not delete_threads:
            return
        within = documents(threads_scope)
        for row in await self._database.rows(THREADS_OF_ASSISTANT, assistant_id, within):
            await self._threads.remove(row["thread_id"], threads_scope)

    async def search(self, query: AssistantQuery) -> Sequence[Assistant]:
        statement = ASSISTANTS.format(order=query.order)
        page = query.page
        found = await self._database.rows(statement, *_assistants(query), page.limit, page.offset)
        return [rows.assistant(row) for row in found]

    async def count(self, query: AssistantQuery) -> int:
        count: int = await self._database.value(COUNT_ASSISTANTS, *_assistants(query))
        return count


def _assistants(query: AssistantQuery) -> tuple[Any, ...]:
    """The conditions of a search, as the statements take them."""
    return (query.graph_id, escape(query.name), dump_optional(query.metadata), documents(query.scope))


def _assistant_values(assistant: Assistant) -> tuple[str | None, ...]:
    return (
        assistant.graph_id,
        escape(assistant.name),
        escape(assistant.description),
        dump(assistant.config),
        dump(assistant.context),
        dump(assistant.metadata),
    )
