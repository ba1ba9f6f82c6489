"""The versions of threads in SQLite. `completion.finish` stores those that runs make."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Any

from lgs_runtime.database.json_columns import dump, escape, load
from lgs_runtime.database.sqlite import Database
from lgs_runtime.errors import Conflict, NotFound
from lgs_runtime.model import Json, Page, Version
from lgs_runtime.storage.actor import who
from lgs_runtime.storage.histories import NewVersion, PrunedVersions, entry_of
from lgs_runtime.storage.options import StorageOptions
from lgs_runtime.storage.sqlite import rows
from lgs_runtime.storage.sqlite.access import one_row
from lgs_runtime.storage.sqlite.audit import note
from lgs_runtime.storage.sqlite.statements.versions import (
    COUNT_VERSION,
    DESCRIBE_VERSION,
    FORGET_OVER_VERSION_LIMIT,
    INSERT_VERSION,
    KEPT_VERSIONS,
    MARK_OVER_VERSION_LIMIT,
    PRUNE_VERSIONS,
    SET_STATE,
    THREAD,
    THREADS_OVER_VERSION_LIMIT,
    VERSION,
    VERSIONS,
)


class SqliteVersions:
    """Implements `Versions` of the contract."""

    def __init__(self, database: Database, options: StorageOptions) -> None:
        self._database = database
        self._options = options

    async def of_thread(self, thread_id: str, page: Page, metadata: Json | None = None) -> Sequence[Version]:
        wanted = {
            "thread_id": thread_id,
            "metadata": None if metadata is None else dump(metadata),
            "limit": page.limit,
            "offset": page.offset,
        }
        found = await self._database.read(lambda c: c.execute(VERSIONS, wanted).fetchall())
        return [rows.version(row) for row in found]

    async def get(self, thread_id: str, version: int) -> Version:
        named = {"thread_id": thread_id, "version": version}
        return _found(await self._database.read(lambda c: one_row(c, VERSION, named)), thread_id, version)

    async def describe(
        self, thread_id: str, version: int, description: str | None, metadata: Json
    ) -> Version:
        named, asker = {"thread_id": thread_id, "version": version}, who()

        def work(connection: sqlite3.Connection) -> sqlite3.Row | None:
            stored = one_row(connection, VERSION, named)
            if stored is None:
                return None
            merged = dump({**load(stored["metadata"]), **metadata})
            changed = {**named, "description": escape(description), "metadata": merged}
            note(connection, thread_id, "version.described", {"version": version}, asker)
            return one_row(connection, DESCRIBE_VERSION, changed)

        return _found(await self._database.write(work), thread_id, version)

    async def add(self, new: NewVersion) -> Version:
        made_by, options = who(), self._options
        row = await self._database.write(lambda connection: _add(connection, new, made_by, options))
        return rows.version(row)

    async def threads_over_limit(self) -> Sequence[str]:
        found = await self._database.read(lambda c: c.execute(THREADS_OVER_VERSION_LIMIT).fetchall())
        return [row["thread_id"] for row in found]

    async def prune(self, thread_id: str, keep: int) -> PrunedVersions:
        named = {"thread_id": thread_id}

        def work(connection: sqlite3.Connection) -> PrunedVersions:
            kept = one_row(connection, KEPT_VERSIONS, {**named, "keep": keep})
            assert kept is not None, "an aggregate has one row"
            deleted = connection.execute(PRUNE_VERSIONS, {**named, "version": kept["version"]}).rowcount
            return PrunedVersions(deleted, kept["checkpoint_id"])

        return await self._database.write(work)

    async def forget_over_limit(self, thread_ids: Sequence[str]) -> None:
        named = {"thread_ids": dump(list(thread_ids))}
        await self._database.write(lambda c: c.execute(FORGET_OVER_VERSION_LIMIT, named).rowcount)


def keep_version(
    connection: sqlite3.Connection, options: StorageOptions, version: Mapping[str, Any]
) -> sqlite3.Row:
    """Stores a version whose number the thread's record has already counted (`COUNT_VERSION`), in the
    caller's transaction."""
    row = one_row(connection, INSERT_VERSION, {"description": None, "metadata": "{}", **version})
    assert row is not None, "an INSERT that returns nothing raises"
    if row["version"] > options.versions_limit:
        connection.execute(MARK_OVER_VERSION_LIMIT, version)
    return row


def _add(
    connection: sqlite3.Connection, new: NewVersion, made_by: str | None, options: StorageOptions
) -> sqlite3.Row:
    named = {"thread_id": new.thread_id, "now": time.time()}
    thread = one_row(connection, THREAD, named)
    if thread is None:
        raise NotFound("thread", new.thread_id)
    if thread["unfinished"]:
        raise Conflict(f"thread {new.thread_id} is busy: wait for its runs, or cancel them, first")
    interrupts = dump(new.interrupts)
    counted = one_row(connection, COUNT_VERSION, named)
    assert counted is not None, "the thread was there, and this transaction is alone"
    if new.values is not None:
        state = {"values": dump(new.values), "interrupts": interrupts, "rest": new.status}
        connection.execute(SET_STATE, {**named, **state})
    version = {
        **named,
        "version": counted["versions"],
        "checkpoint_id": new.checkpoint_id,
        "run_id": None,
        "interrupts": interrupts,
        "description": escape(new.description),
        "metadata": dump(new.metadata),
        "created_by": escape(made_by),
    }
    made = keep_version(connection, options, version)
    what, details = entry_of(rows.version(made))
    note(connection, new.thread_id, what, details, made_by)
    return made


def _found(row: sqlite3.Row | None, thread_id: str, version: int) -> Version:
    if row is None:
        raise NotFound("version", f"{version} of thread {thread_id}")
    return rows.version(row)
