"""Assistants and their versions in SQLite."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from lgs_runtime.database.json_columns import dump, dump_optional, escape
from lgs_runtime.database.sqlite import Database
from lgs_runtime.errors import Conflict, NotFound, existing
from lgs_runtime.model import (
    Assistant,
    Json,
    Page,
    Scope,
    Signal,
)
from lgs_runtime.storage.actor import who
from lgs_runtime.storage.queries import AssistantQuery
from lgs_runtime.storage.scope import document_list
from lgs_runtime.storage.sqlite import rows
from lgs_runtime.storage.sqlite.access import all_read, all_rows, one_read, one_row
from lgs_runtime.storage.sqlite.signals import SqliteSignals
from lgs_runtime.storage.sqlite.statements.assistants import (
    ASSISTANT,
    ASSISTANTS,
    CHANGE_ASSISTANT,
    COUNT_ASSISTANTS,
    CREATE_ASSISTANT,
    DELETE_ASSISTANT,
    DELETE_ITS_CRONS,
    KEEP_VERSION,
    NEWEST_VERSION,
    SET_LATEST,
    THREADS_OF_ASSISTANT,
    VERSIONS,
)
from lgs_runtime.storage.sqlite.threads import delete_thread
from lgs_runtime.storage.transitions import with_changes


class SqliteAssistants:
    """Implements `Assistants` of the contract."""

    def __init__(self, database: Database, signals: SqliteSignals) -> None:
        self._database = database
        self._signals = signals

    async def create(
        self, assistant: Assistant, if_exists: str = "raise", scope: Scope | None = None
    ) -> Assistant:
        values = {"assistant_id": assistant.assistant_id, **_assistant_values(assistant)}

        def work(connection: sqlite3.Connection) -> sqlite3.Row | None:
            made = one_row(connection, CREATE_ASSISTANT, values)
            if made is not None:
                one_row(connection, KEEP_VERSION, values)
            return made

        made = await self._database.write(work)
        if made is not None:
            return rows.assistant(made)
        if if_exists == "do_nothing":
            with suppress(NotFound):
                return await self.get(assistant.assistant_id, scope)
        raise Conflict(
            f"assistant {assistant.assistant_id} exists: if_exists is raise; use do_nothing to get it"
        )

    async def get(self, assistant_id: str, scope: Scope | None = None) -> Assistant:
        named = {"assistant_id": assistant_id, "scope": document_list(scope)}
        return rows.assistant(
            existing(await one_read(self._database, ASSISTANT, named), "assistant", assistant_id)
        )

    async def update(
        self, assistant_id: str, changes: Mapping[str, Any], scope: Scope | None = None
    ) -> Assistant:
        named = {"assistant_id": assistant_id, "scope": document_list(scope)}

        def work(connection: sqlite3.Connection) -> sqlite3.Row:
            present = existing(one_row(connection, ASSISTANT, named), "assistant", assistant_id)
            changed = with_changes(rows.assistant(present), changes)
            newest = existing(one_row(connection, NEWEST_VERSION, named), "assistant", assistant_id)[0]
            values = {**named, **_assistant_values(changed), "version": newest + 1}
            row = existing(one_row(connection, CHANGE_ASSISTANT, values), "assistant", assistant_id)
            one_row(connection, KEEP_VERSION, named)
            return row

        return rows.assistant(await self._database.write(work))

    async def versions(
        self, assistant_id: str, page: Page, metadata: Json | None = None, scope: Scope | None = None
    ) -> Sequence[Assistant]:
        wanted = {
            "assistant_id": assistant_id,
            "metadata": dump_optional(metadata),
            "limit": page.limit,
            "offset": page.offset,
        }
        wanted["scope"] = document_list(scope)
        return [rows.assistant(row) for row in await all_read(self._database, VERSIONS, wanted)]

    async def set_latest(self, assistant_id: str, version: int, scope: Scope | None = None) -> Assistant:
        values = {"assistant_id": assistant_id, "version": version, "now": time.time()}
        values["scope"] = document_list(scope)

        def work(connection: sqlite3.Connection) -> sqlite3.Row | None:
            changed = connection.execute(SET_LATEST, values).rowcount
            return one_row(connection, ASSISTANT, values) if changed else None

        row = await self._database.write(work)
        return rows.assistant(existing(row, "assistant", f"{assistant_id} version {version}"))

    async def delete(
        self,
        assistant_id: str,
        *,
        delete_threads: bool = False,
        scope: Scope | None = None,
        threads_scope: Scope | None = None,
    ) -> None:
        values = {
            "assistant_id": assistant_id,
            "metadata": dump({"assistant_id": assistant_id}),
            "scope": document_list(scope),
            "threads_scope": document_list(threads_scope),
        }
        asker = who()

        def work(connection: sqlite3.Connection) -> list[Signal]:
            existing(one_row(connection, DELETE_ASSISTANT, values), "assistant", assistant_id)
            connection.execute(DELETE_ITS_CRONS, values)
            if not delete_threads:
                return []
            threads = all_rows(connection, THREADS_OF_ASSISTANT, values)
            return [
                signal
                for row in threads
                for signal in delete_thread(connection, row["thread_id"], threads_scope, asker) or ()
            ]

        self._signals.send(*await self._database.write(work))

    async def search(self, query: AssistantQuery) -> Sequence[Assistant]:
        statement = ASSISTANTS.format(order=query.order)
        wanted = {**_assistants(query), "limit": query.page.limit, "offset": query.page.offset}
        return [rows.assistant(row) for row in await all_read(self._database, statement, wanted)]

    async def count(self, query: AssistantQuery) -> int:
        return int((await all_read(self._database, COUNT_ASSISTANTS, _assistants(query)))[0][0])


def _assistants(query: AssistantQuery) -> dict[str, Any]:
    """The conditions of a search, as the statements take them."""
    named = {"graph_id": query.graph_id, "name": escape(query.name)}
    return {**named, "metadata": dump_optional(query.metadata), "scope": document_list(query.scope)}


def _assistant_values(assistant: Assistant) -> dict[str, Any]:
    return {
        "graph_id": assistant.graph_id,
        "name": escape(assistant.name),
        "description": escape(assistant.description),
        "config": dump(assistant.config),
        "context": dump(assistant.context),
        "metadata": dump(assistant.metadata),
    }
