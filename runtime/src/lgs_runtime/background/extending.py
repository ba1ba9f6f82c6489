"""How the keeper of a lease extends it: one statement on a new connection."""

from __future__ import annotations

import asyncio

from lgs_runtime.database.addresses import address
from lgs_runtime.errors import ConfigError, StorageUnavailable


def extend_lease(uri: str, replica: str, lease_seconds: float) -> bool | None:
    """Extends a lease. False: there is none; None: the database did not answer."""
    where = address(uri)
    try:
        if where.path is not None:
            from lgs_runtime.storage.sqlite import leases as of_sqlite  # noqa: PLC0415 - load one driver only

            return of_sqlite.extend(where.path, replica, lease_seconds)
        from lgs_runtime.storage.postgres import leases as of_postgres  # noqa: PLC0415

        return asyncio.run(of_postgres.extend(where.uri, replica, lease_seconds))
    except (StorageUnavailable, ConfigError):
        return None
