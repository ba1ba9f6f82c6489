"""The versions of threads in PostgreSQL. `FINISH` stores those of runs."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.database.json_columns import dump, escape
from lgs_runtime.database.postgres import Database
from lgs_runtime.errors import Conflict, NotFound
from lgs_runtime.model import Json, Page, Version
from lgs_runtime.storage.actor import who
from lgs_runtime.storage.histories import NewVersion, PrunedVersions, entry_of
from lgs_runtime.storage.options import StorageOptions
from lgs_runtime.storage.postgres import rows
from lgs_runtime.storage.postgres.audit import note
from lgs_runtime.storage.postgres.statements.versions import (
    ADD_VERSION,
    DESCRIBE_VERSION,
    FORGET_OVER_VERSION_LIMIT,
    LOCK_THREAD,
    PRUNE_VERSIONS,
    THREADS_OVER_VERSION_LIMIT,
    VERSION,
    VERSIONS,
)


class PostgresVersions:
    """Implements `Versions` of the contract."""

    def __init__(self, database: Database, options: StorageOptions) -> None:
        self._database = database
        self._options = options

    async def of_thread(self, thread_id: str, page: Page, metadata: Json | None = None) -> Sequence[Version]:
        wanted = None if metadata is None else dump(metadata)
        found = await self._database.rows(VERSIONS, thread_id, wanted, page.limit, page.offset)
        return [rows.version(row) for row in found]

    async def get(self, thread_id: str, version: int) -> Version:
        row = await self._database.row(VERSION, thread_id, version)
        return _found(row, thread_id, version)

    async def describe(
        self, thread_id: str, version: int, description: str | None, metadata: Json
    ) -> Version:
        values = (escape(description), dump(metadata), escape(who()))
        return _found(
            await self._database.row(DESCRIBE_VERSION, thread_id, version, *values), thread_id, version
        )

    async def add(self, new: NewVersion) -> Version:

        async def work(connection: asyncpg.Connection) -> Version:
            unfinished = await connection.fetchval(LOCK_THREAD, new.thread_id)
            if unfinished is None:
                raise NotFound("thread", new.thread_id)
            if unfinished:
                raise Conflict(f"thread {new.thread_id} is busy: wait for its runs, or cancel them, first")
            row = await connection.fetchrow(
                ADD_VERSION,
                new.thread_id,
                new.checkpoint_id,
                dump(new.interrupts),
                escape(new.description),
                dump(new.metadata),
                escape(who()),
                None if new.values is None else dump(new.values),
                new.status,
                self._options.versions_limit,
            )
            made = rows.version(row)
            await note(connection, new.thread_id, *entry_of(made))
            return made

        return await self._database.transact(work)

    async def threads_over_limit(self) -> Sequence[str]:
        return [row["thread_id"] for row in await self._database.rows(THREADS_OVER_VERSION_LIMIT)]

    async def prune(self, thread_id: str, keep: int) -> PrunedVersions:
        """One statement."""
        row = await self._database.row(PRUNE_VERSIONS, thread_id, keep)
        assert row is not None, "a statement of aggregates always has a row"
        return PrunedVersions(row["deleted"], row["oldest"])

    async def forget_over_limit(self, thread_ids: Sequence[str]) -> None:
        await self._database.rows(FORGET_OVER_VERSION_LIMIT, list(thread_ids))


def _found(row: asyncpg.Record | None, thread_id: str, version: int) -> Version:
    if row is None:
        raise NotFound("version", f"{version} of thread {thread_id}")
    return rows.version(row)
