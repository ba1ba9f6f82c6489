"""Opens the storage that a `DATABASE_URI` names."""

from __future__ import annotations

from lgs_runtime.database.addresses import address
from lgs_runtime.storage.contract import Storage
from lgs_runtime.storage.options import StorageOptions


async def open_storage(uri: str, options: StorageOptions) -> Storage:
    """A storage, migrated and ready. The schemes are `sqlite:///path`, `postgres://…` and `postgresql://…`.

    Raises `ConfigError` when the URI can't work and `StorageUnavailable` when nobody answers there.
    """
    where = address(uri)
    if where.path is not None:
        from lgs_runtime.storage.sqlite.storage import open_sqlite  # noqa: PLC0415 - load one driver only

        return await open_sqlite(where.path, options)
    from lgs_runtime.storage.postgres.storage import open_postgres  # noqa: PLC0415

    return await open_postgres(where.uri, options)
