"""The versions of threads in PostgreSQL, with their statements. Those of runs are stored by `FINISH`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

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

VERSIONS: Final = """
SELECT * FROM lgs_version WHERE thread_id = $1 AND ($2::jsonb IS NULL OR metadata @> $2)
ORDER BY version DESC LIMIT $3 OFFSET $4
"""

VERSION: Final = "SELECT * FROM lgs_version WHERE thread_id = $1 AND version = $2"

DESCRIBE_VERSION: Final = """
WITH changed AS (
    UPDATE lgs_version SET description = coalesce($3, description), metadata = metadata || $4
    WHERE thread_id = $1 AND version = $2 RETURNING *
), audit AS (
    INSERT INTO lgs_audit (thread_id, who, what, details)
    SELECT thread_id, $5, 'version.described', jsonb_build_object('version', version) FROM changed
)
SELECT * FROM changed
"""

LOCK_THREAD: Final = "SELECT unfinished FROM lgs_thread WHERE thread_id = $1 FOR UPDATE"

# $1 thread $2 checkpoint $3 interrupts $4 description $5 metadata $6 who
# $7 values (or null: the record stays) $8 thread rest $9 versions that a thread keeps
ADD_VERSION: Final = """
WITH thread AS (
    UPDATE lgs_thread
    SET versions = versions + 1, updated_at = now(), values = coalesce($7::jsonb, values),
        interrupts = CASE WHEN $7::jsonb IS NULL THEN interrupts ELSE $3::jsonb END,
        rest = CASE WHEN $7::jsonb IS NULL THEN rest ELSE $8 END,
        error = CASE WHEN $7::jsonb IS NULL THEN error END,
        state_updated_at = CASE WHEN $7::jsonb IS NULL THEN state_updated_at ELSE now() END
    WHERE thread_id = $1 RETURNING versions
), crowd AS (
    INSERT INTO lgs_crowded_thread (thread_id) SELECT $1 FROM thread WHERE versions > $9::bigint
    ON CONFLICT DO NOTHING
)
INSERT INTO lgs_version (thread_id, version, checkpoint_id, interrupts, description, metadata, created_by)
SELECT $1, versions, $2, $3::jsonb, $4, $5::jsonb, $6 FROM thread
RETURNING *
"""

THREADS_OVER_VERSION_LIMIT: Final = "SELECT thread_id FROM lgs_crowded_thread LIMIT 1000"

PRUNE_VERSIONS: Final = """
WITH kept AS (
    SELECT version, checkpoint_id FROM lgs_version WHERE thread_id = $1 ORDER BY version DESC LIMIT $2
), pruned AS (
    DELETE FROM lgs_version WHERE thread_id = $1 AND version < (SELECT min(version) FROM kept) RETURNING 1
)
SELECT (SELECT count(*) FROM pruned) AS deleted, (SELECT min(checkpoint_id COLLATE "C") FROM kept) AS oldest
"""

FORGET_CROWDED: Final = "DELETE FROM lgs_crowded_thread WHERE thread_id = ANY($1::text[])"


class PostgresVersions:
    """The `Versions` of the contract."""

    _database: Database
    _options: StorageOptions

    async def versions(self, thread_id: str, page: Page, metadata: Json | None = None) -> Sequence[Version]:
        wanted = None if metadata is None else dump(metadata)
        found = await self._database.rows(VERSIONS, thread_id, wanted, page.limit, page.offset)
        return [rows.version(row) for row in found]

    async def version(self, thread_id: str, version: int) -> Version:
        row = await self._database.row(VERSION, thread_id, version)
        return _found(row, thread_id, version)

    async def describe_version(
        self, thread_id: str, version: int, description: str | None, metadata: Json
    ) -> Version:
        values = (escape(description), dump(metadata), escape(who()))
        return _found(
            await self._database.row(DESCRIBE_VERSION, thread_id, version, *values), thread_id, version
        )

    async def add_version(self, new: NewVersion) -> Version:

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

    async def threads_over_version_limit(self) -> Sequence[str]:
        return [row["thread_id"] for row in await self._database.rows(THREADS_OVER_VERSION_LIMIT)]

    async def prune_versions(self, thread_id: str, keep: int) -> PrunedVersions:
        """One statement."""
        row = await self._database.row(PRUNE_VERSIONS, thread_id, keep)
        assert row is not None, "a statement of aggregates always has a row"
        return PrunedVersions(row["deleted"], row["oldest"])

    async def forget_crowded(self, thread_ids: Sequence[str]) -> None:
        await self._database.rows(FORGET_CROWDED, list(thread_ids))


def _found(row: asyncpg.Record | None, thread_id: str, version: int) -> Version:
    if row is None:
        raise NotFound("version", f"{version} of thread {thread_id}")
    return rows.version(row)
