"""Assistants and threads in SQLite."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from lgs_runtime.database.json_columns import dump, dump_optional, escape, load
from lgs_runtime.database.sqlite import Database
from lgs_runtime.errors import Conflict, NotFound
from lgs_runtime.model import Assistant, Json, Page, Scope, Signal, Thread, ThreadStatus, Ttl
from lgs_runtime.storage.actor import who
from lgs_runtime.storage.lifetime import columns
from lgs_runtime.storage.queries import AssistantQuery, ThreadQuery
from lgs_runtime.storage.scope import covers, document_list
from lgs_runtime.storage.sqlite import record_statements as statements
from lgs_runtime.storage.sqlite import rows
from lgs_runtime.storage.sqlite.audit import note, note_deleted
from lgs_runtime.storage.sqlite.signals import Sender
from lgs_runtime.storage.transitions import with_changes


class SqliteRecords:
    """The `Records` of the contract."""

    def __init__(self, database: Database, sender: Sender) -> None:
        self._database = database
        self._sender = sender

    async def create_assistant(
        self, assistant: Assistant, if_exists: str = "raise", scope: Scope | None = None
    ) -> Assistant:
        values = {"assistant_id": assistant.assistant_id, **_assistant_values(assistant)}

        def work(connection: sqlite3.Connection) -> sqlite3.Row | None:
            made = _one(connection, statements.CREATE_ASSISTANT, values)
            if made is not None:
                _one(connection, statements.KEEP_VERSION, values)
            return made

        made = await self._database.write(work)
        if made is not None:
            return rows.assistant(made)
        if if_exists == "do_nothing":
            with suppress(NotFound):
                return await self.assistant(assistant.assistant_id, scope)
        raise Conflict(
            f"assistant {assistant.assistant_id} exists: if_exists is raise; use do_nothing to get it"
        )

    async def assistant(self, assistant_id: str, scope: Scope | None = None) -> Assistant:
        named = {"assistant_id": assistant_id, "scope": document_list(scope)}
        return rows.assistant(
            _found(await self._read_one(statements.ASSISTANT, named), "assistant", assistant_id)
        )

    async def update_assistant(
        self, assistant_id: str, changes: Mapping[str, Any], scope: Scope | None = None
    ) -> Assistant:
        named = {"assistant_id": assistant_id, "scope": document_list(scope)}

        def work(connection: sqlite3.Connection) -> sqlite3.Row:
            present = _found(_one(connection, statements.ASSISTANT, named), "assistant", assistant_id)
            changed = with_changes(rows.assistant(present), changes)
            newest = _found(_one(connection, statements.NEWEST_VERSION, named), "assistant", assistant_id)[0]
            values = {**named, **_assistant_values(changed), "version": newest + 1}
            row = _found(_one(connection, statements.CHANGE_ASSISTANT, values), "assistant", assistant_id)
            _one(connection, statements.KEEP_VERSION, named)
            return row

        return rows.assistant(await self._database.write(work))

    async def assistant_versions(
        self, assistant_id: str, page: Page, metadata: Json | None = None, scope: Scope | None = None
    ) -> Sequence[Assistant]:
        wanted = {"assistant_id": assistant_id, "metadata": dump_optional(metadata), **_slice(page)}
        wanted["scope"] = document_list(scope)
        return [rows.assistant(row) for row in await self._read(statements.VERSIONS, wanted)]

    async def set_latest(self, assistant_id: str, version: int, scope: Scope | None = None) -> Assistant:
        values = {"assistant_id": assistant_id, "version": version, "now": time.time()}
        values["scope"] = document_list(scope)

        def work(connection: sqlite3.Connection) -> sqlite3.Row | None:
            changed = connection.execute(statements.SET_LATEST, values).rowcount
            return _one(connection, statements.ASSISTANT, values) if changed else None

        row = await self._database.write(work)
        return rows.assistant(_found(row, "assistant", f"{assistant_id} version {version}"))

    async def delete_assistant(
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
            _found(_one(connection, statements.DELETE_ASSISTANT, values), "assistant", assistant_id)
            if not delete_threads:
                return []
            threads = _all(connection, statements.THREADS_OF_ASSISTANT, values)
            return [
                signal
                for row in threads
                for signal in _delete_thread(connection, row["thread_id"], threads_scope, asker) or ()
            ]

        self._sender.send(*await self._database.write(work))

    async def assistants(self, query: AssistantQuery) -> Sequence[Assistant]:
        statement = statements.ASSISTANTS.format(order=query.order)
        wanted = {**_assistants(query), **_slice(query.page)}
        return [rows.assistant(row) for row in await self._read(statement, wanted)]

    async def count_assistants(self, query: AssistantQuery) -> int:
        return int((await self._read(statements.COUNT_ASSISTANTS, _assistants(query)))[0][0])

    async def create_thread(
        self,
        thread_id: str,
        metadata: Json,
        if_exists: str = "raise",
        ttl: Ttl | None = None,
        scope: Scope | None = None,
    ) -> Thread:
        values = {
            "thread_id": thread_id,
            "metadata": dump(metadata),
            "created_by": escape(who()),
            **_ttl(ttl),
        }
        row = await self._database.write(lambda c: _one(c, statements.CREATE_THREAD, values))
        if row is not None:
            return rows.thread(row)
        if if_exists == "do_nothing":
            with suppress(NotFound):
                return await self.thread(thread_id, scope)
        raise Conflict(f"thread {thread_id} exists: if_exists is raise; use do_nothing to get it")

    async def thread(self, thread_id: str, scope: Scope | None = None) -> Thread:
        row = await self._read_one(statements.THREAD, _thread(thread_id, scope))
        return rows.thread(_found(row, "thread", thread_id))

    async def update_thread(
        self,
        thread_id: str,
        metadata: Json,
        ttl: Ttl | None = None,
        scope: Scope | None = None,
    ) -> Thread:
        asker = who()

        def work(connection: sqlite3.Connection) -> sqlite3.Row | None:
            named = _thread(thread_id, scope)
            stored = _found(_one(connection, statements.THREAD, named), "thread", thread_id)["metadata"]
            merged = {**load(stored), **metadata}
            if scope is not None and not covers(scope, merged):
                return None
            changed = {**named, "metadata": dump(merged), **_ttl(ttl)}
            note(connection, thread_id, "thread.updated", {"metadata": list(metadata)}, asker)
            return _one(connection, statements.UPDATE_THREAD, changed)

        return rows.thread(_found(await self._database.write(work), "thread", thread_id))

    async def set_thread_state(
        self, thread_id: str, values: Json, interrupts: Json, status: ThreadStatus
    ) -> Thread:
        state = {
            "thread_id": thread_id,
            "values": dump(values),
            "interrupts": dump(interrupts),
            "rest": status,
        }
        asker = who()

        def work(connection: sqlite3.Connection) -> sqlite3.Row | None:
            changed = _one(connection, statements.SET_THREAD_STATE, state)
            if changed is not None:
                note(connection, thread_id, "state.updated", {"status": status}, asker)
            return changed

        row = await self._database.write(work)
        return rows.thread(_found(row, "thread", thread_id))

    async def delete_thread(self, thread_id: str, scope: Scope | None = None) -> None:
        asker = who()
        notifications = await self._database.write(lambda c: _delete_thread(c, thread_id, scope, asker))
        if notifications is None:
            raise NotFound("thread", thread_id)
        self._sender.send(*notifications)

    async def copy_thread(
        self,
        thread_id: str,
        new_thread_id: str,
        metadata: Json | None = None,
        scope: Scope | None = None,
        ttl: Ttl | None = None,
    ) -> Thread:
        asker = who()
        values = {**_thread(thread_id, scope), "new_thread_id": new_thread_id, "created_by": escape(asker)}
        values |= {"metadata": dump_optional(metadata), **_ttl(ttl)}

        def work(connection: sqlite3.Connection) -> sqlite3.Row | None:
            _found(_one(connection, statements.THREAD, values), "thread", thread_id)
            made = _one(connection, statements.COPY_THREAD, values)
            if made is not None:
                connection.execute(statements.COPY_VERSIONS, values)
                note(connection, new_thread_id, "thread.copied", {"from": thread_id}, asker)
            return made

        row = await self._database.write(work)
        if row is None:
            raise Conflict(f"thread {new_thread_id} exists: a copy needs an id of its own")
        return rows.thread(row)

    async def threads(self, query: ThreadQuery) -> Sequence[Thread]:
        statement = statements.THREADS.format(order=query.order)
        wanted = {**_threads(query), **_slice(query.page)}
        return [rows.thread(row) for row in await self._read(statement, wanted)]

    async def count_threads(self, query: ThreadQuery) -> int:
        return int((await self._read(statements.COUNT_THREADS, _threads(query)))[0][0])

    async def expire_threads(self, limit: int) -> Sequence[str]:

        def work(connection: sqlite3.Connection) -> list[str]:
            found = _all(connection, statements.MORTAL_THREADS, {"limit": limit})
            mortal = [row["thread_id"] for row in found]
            for thread_id in mortal:
                _delete_thread(connection, thread_id, None, None)
            return mortal

        return await self._database.write(work)

    async def stale_threads(self, limit: int) -> Sequence[Thread]:
        return [rows.thread(row) for row in await self._read(statements.STALE_THREADS, {"limit": limit})]

    async def note_pruned(self, thread: Thread) -> None:
        values = {"thread_id": thread.thread_id, "updated_at": thread.updated_at.timestamp()}
        await self._database.write(lambda c: c.execute(statements.NOTE_PRUNED, values).rowcount)

    async def _read(self, statement: str, values: Mapping[str, Any]) -> list[sqlite3.Row]:
        return await self._database.read(lambda connection: _all(connection, statement, values))

    async def _read_one(self, statement: str, values: Mapping[str, Any]) -> sqlite3.Row | None:
        read: Callable[[sqlite3.Connection], sqlite3.Row | None] = lambda c: _one(c, statement, values)  # noqa: E731
        return await self._database.read(read)


def _all(connection: sqlite3.Connection, statement: str, values: Mapping[str, Any]) -> list[sqlite3.Row]:
    return connection.execute(statement, {"now": time.time(), **values}).fetchall()


def _one(connection: sqlite3.Connection, statement: str, values: Mapping[str, Any]) -> sqlite3.Row | None:
    found = _all(connection, statement, values)
    return found[0] if found else None


def _delete_thread(
    connection: sqlite3.Connection, thread_id: str, scope: Scope | None, asker: str | None
) -> list[Signal] | None:
    """Deletes a thread and its runs; the news of that, or None when there is no such thread."""
    named = _thread(thread_id, scope)
    if _one(connection, statements.THREAD, named) is None:
        return None
    note_deleted(connection, thread_id, asker)
    if _one(connection, statements.DELETE_THREAD, named) is None:
        return None
    for statement in (statements.DELETE_VERSIONS_OF_THREAD, statements.FORGET_CROWDED_THREAD):
        connection.execute(statement, named)
    runs = _all(connection, statements.DELETE_RUNS_OF_THREAD, named)
    stopped = [Signal("cancel", row["run_id"]) for row in runs if row["status"] == "running"]
    ended = [Signal("finished", row["run_id"]) for row in runs if row["status"] in ("pending", "running")]
    return [*stopped, *ended, Signal("thread", thread_id)]


def _found(row: sqlite3.Row | None, kind: str, name: str) -> sqlite3.Row:
    if row is None:
        raise NotFound(kind, name)
    return row


def _slice(page: Page) -> dict[str, Any]:
    return {"limit": page.limit, "offset": page.offset}


def _thread(thread_id: str, scope: Scope | None) -> dict[str, Any]:
    return {"thread_id": thread_id, "scope": document_list(scope)}


def _ttl(ttl: Ttl | None) -> dict[str, Any]:
    return dict(zip(("ttl_seconds", "ttl_strategy"), columns(ttl), strict=True))


def _threads(query: ThreadQuery) -> dict[str, Any]:
    """What is looked for, as the statements take it."""
    contained = {"metadata": dump_optional(query.metadata), "values": dump_optional(query.values)}
    ids = None if query.ids is None else dump(list(query.ids))
    return {**contained, "ids": ids, "status": query.status, "scope": document_list(query.scope)}


def _assistants(query: AssistantQuery) -> dict[str, Any]:
    """What is looked for, as the statements take it."""
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
