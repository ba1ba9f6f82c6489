"""The records of threads in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from lgs_runtime.database.json_columns import dump, dump_optional, escape, load
from lgs_runtime.database.sqlite import Database
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
from lgs_runtime.storage.queries import ThreadQuery
from lgs_runtime.storage.scope import covers, document_list
from lgs_runtime.storage.sqlite import rows
from lgs_runtime.storage.sqlite.access import all_read, all_rows, one_read, one_row
from lgs_runtime.storage.sqlite.audit import note, note_deleted
from lgs_runtime.storage.sqlite.signals import SqliteSignals
from lgs_runtime.storage.sqlite.statements.threads import (
    CHANGED_THREADS,
    COPY_THREAD,
    COPY_VERSIONS,
    COUNT_THREADS,
    CREATE_THREAD,
    DELETE_CRONS_OF_THREAD,
    DELETE_RUNS_OF_THREAD,
    DELETE_THREAD,
    DELETE_VERSIONS_OF_THREAD,
    EXPIRED_THREADS,
    FORGET_THREAD_OVER_VERSION_LIMIT,
    NOTE_PRUNED,
    SET_THREAD_STATE,
    STALE_THREADS,
    THREAD,
    THREADS,
    UPDATE_THREAD,
)


class SqliteThreads:
    """Implements `Threads` of the contract."""

    def __init__(self, database: Database, signals: SqliteSignals) -> None:
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
        values = {
            "thread_id": thread_id,
            "metadata": dump(metadata),
            "created_by": escape(who()),
            **_ttl(ttl),
        }
        row = await self._database.write(lambda c: one_row(c, CREATE_THREAD, values))
        if row is not None:
            return rows.thread(row)
        if if_exists == "do_nothing":
            with suppress(NotFound):
                return await self.get(thread_id, scope)
        raise Conflict(f"thread {thread_id} exists: if_exists is raise; use do_nothing to get it")

    async def get(self, thread_id: str, scope: Scope | None = None) -> Thread:
        row = await one_read(self._database, THREAD, _thread(thread_id, scope))
        return rows.thread(existing(row, "thread", thread_id))

    async def update(
        self,
        thread_id: str,
        metadata: Json,
        ttl: Ttl | None = None,
        scope: Scope | None = None,
    ) -> Thread:
        asker = who()

        def work(connection: sqlite3.Connection) -> sqlite3.Row | None:
            named = _thread(thread_id, scope)
            stored = existing(one_row(connection, THREAD, named), "thread", thread_id)["metadata"]
            merged = {**load(stored), **metadata}
            if scope is not None and not covers(scope, merged):
                return None
            changed = {**named, "metadata": dump(merged), **_ttl(ttl)}
            note(connection, thread_id, "thread.updated", {"metadata": list(metadata)}, asker)
            return one_row(connection, UPDATE_THREAD, changed)

        return rows.thread(existing(await self._database.write(work), "thread", thread_id))

    async def set_state(self, thread_id: str, values: Json, interrupts: Json, status: ThreadStatus) -> Thread:
        state = {
            "thread_id": thread_id,
            "values": dump(values),
            "interrupts": dump(interrupts),
            "rest": status,
        }
        asker = who()

        def work(connection: sqlite3.Connection) -> sqlite3.Row | None:
            changed = one_row(connection, SET_THREAD_STATE, state)
            if changed is not None:
                note(connection, thread_id, "state.updated", {"status": status}, asker)
            return changed

        row = await self._database.write(work)
        return rows.thread(existing(row, "thread", thread_id))

    async def delete(self, thread_id: str, scope: Scope | None = None, *, replaced: bool = False) -> None:
        asker = who()
        notifications = await self._database.write(
            lambda c: delete_thread(c, thread_id, scope, asker, replaced=replaced)
        )
        if notifications is None:
            raise NotFound("thread", thread_id)
        self._signals.send(*notifications)

    async def copy(
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
            existing(one_row(connection, THREAD, values), "thread", thread_id)
            made = one_row(connection, COPY_THREAD, values)
            if made is not None:
                connection.execute(COPY_VERSIONS, values)
                note(connection, new_thread_id, "thread.copied", {"from": thread_id}, asker)
            return made

        row = await self._database.write(work)
        if row is None:
            raise Conflict(f"thread {new_thread_id} exists: a copy needs an id of its own")
        return rows.thread(row)

    async def search(self, query: ThreadQuery) -> Sequence[Thread]:
        statement = THREADS.format(order=query.order)
        wanted = {**_threads(query), "limit": query.page.limit, "offset": query.page.offset}
        return [rows.thread(row) for row in await all_read(self._database, statement, wanted)]

    async def count(self, query: ThreadQuery) -> int:
        return int((await all_read(self._database, COUNT_THREADS, _threads(query)))[0][0])

    async def expire(self, limit: int) -> Sequence[str]:

        def work(connection: sqlite3.Connection) -> list[str]:
            found = all_rows(connection, EXPIRED_THREADS, {"limit": limit})
            expired = [row["thread_id"] for row in found]
            for thread_id in expired:
                delete_thread(connection, thread_id, None, None, details={"reason": "ttl"})
            return expired

        return await self._database.write(work)

    async def stale(self, limit: int) -> Sequence[Thread]:
        return [rows.thread(row) for row in await all_read(self._database, STALE_THREADS, {"limit": limit})]

    async def note_pruned(self, thread: Thread) -> None:
        values = {"thread_id": thread.thread_id, "updated_at": thread.updated_at.timestamp()}
        await self._database.write(lambda c: c.execute(NOTE_PRUNED, values).rowcount)

    async def changed(self, seen: Mapping[str, datetime | None]) -> Collection[str]:
        moments = {thread_id: None if at is None else at.timestamp() for thread_id, at in seen.items()}
        found = await all_read(self._database, CHANGED_THREADS, {"seen": dump(moments)})
        return [row[0] for row in found]


def delete_thread(
    connection: sqlite3.Connection,
    thread_id: str,
    scope: Scope | None,
    asker: str | None,
    *,
    replaced: bool = False,
    details: Json | None = None,
) -> list[Signal] | None:
    """Like `delete` of the contract, in the caller's transaction. `details`: of the deletion, for the audit
    trail. Returns the signals to send, or None when
    there is no such thread."""
    named = _thread(thread_id, scope)
    if one_row(connection, THREAD, named) is None:
        return None
    note_deleted(connection, thread_id, asker, details or {})
    if one_row(connection, DELETE_THREAD, named) is None:
        return None
    for statement in (DELETE_VERSIONS_OF_THREAD, FORGET_THREAD_OVER_VERSION_LIMIT):
        connection.execute(statement, named)
    if not replaced:
        connection.execute(DELETE_CRONS_OF_THREAD, named)
    runs = all_rows(connection, DELETE_RUNS_OF_THREAD, named)
    stopped = [Signal("cancel", row["run_id"]) for row in runs if row["status"] == "running"]
    ended = [Signal("finished", row["run_id"]) for row in runs if row["status"] in ("pending", "running")]
    return [*stopped, *ended, Signal("thread", thread_id)]


def _thread(thread_id: str, scope: Scope | None) -> dict[str, Any]:
    return {"thread_id": thread_id, "scope": document_list(scope)}


def _ttl(ttl: Ttl | None) -> dict[str, Any]:
    return dict(zip(("ttl_seconds", "ttl_strategy"), columns(ttl), strict=True))


def _threads(query: ThreadQuery) -> dict[str, Any]:
    """The conditions of a search, as the statements take them."""
    contained = {"metadata": dump_optional(query.metadata), "values": dump_optional(query.values)}
    ids = None if query.ids is None else dump(list(query.ids))
    return {**contained, "ids": ids, "status": query.status, "scope": document_list(query.scope)}
