"""Opens the storage that a `DATABASE_URI` names."""

from __future__ import annotations

from lgs_runtime.database.addresses import address
from lgs_runtime.storage.contract import Storage
from lgs_runtime.storage.histories import VERSIONS_LIMIT


async def open_storage(
    uri: str,
    *,
    lease_seconds: float,
    versions_limit: int = VERSIONS_LIMIT,
    direct_uri: str | None = None,
) -> Storage:
    """A storage, migrated and ready. The schemes are `sqlite:///path`, `postgres://…` and `postgresql://…`.

    `lease_seconds` is the time after which a replica that has not renewed its lease is taken for dead; a
    thread with more than `versions_limit` versions is marked for the janitor. `direct_uri`: the database
    without the pooler that `uri` goes through, to listen at. Raises `ConfigError`
    when the URI can't work and `StorageUnavailable` when nobody answers there.
    """
    where = address(uri)
    if where.path is not None:
        from lgs_runtime.storage.sqlite.storage import SqliteStorage  # noqa: PLC0415 - load one driver only

        return await SqliteStorage.open(
            where.path, lease_seconds=lease_seconds, versions_limit=versions_limit
        )
    from lgs_runtime.storage.postgres.storage import PostgresStorage  # noqa: PLC0415

    return await PostgresStorage.open(
        where.uri, lease_seconds=lease_seconds, versions_limit=versions_limit, direct_uri=direct_uri
    )
