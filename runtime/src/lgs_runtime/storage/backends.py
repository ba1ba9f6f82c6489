"""Opens the storage at the address in `DATABASE_URI`."""

from __future__ import annotations

from lgs_runtime.database.addresses import address
from lgs_runtime.storage.contract import Storage
from lgs_runtime.storage.options import StorageOptions


async def open_storage(uri: str, options: StorageOptions) -> Storage:
    """Opens a storage, migrated and ready. The schemes are `sqlite:///path`, `postgres://…` and
    `postgresql://…`.

    Raises `ConfigError` for a URI that can't work, and `StorageUnavailable` when nothing answers there.
    """
    where = address(uri)
    if where.path is not None:
        from lgs_runtime.storage.sqlite.storage import open_sqlite  # noqa: PLC0415 - load one driver only

        return await open_sqlite(where.path, options)
    from lgs_runtime.storage.postgres.storage import open_postgres  # noqa: PLC0415

    return await open_postgres(where.uri, options)
