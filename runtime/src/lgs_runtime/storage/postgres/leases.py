"""The lease of one replica in PostgreSQL, on a connection of its own that is opened again when it was
lost."""

from __future__ import annotations

import asyncio

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.storage.postgres import statements
from lgs_runtime.storage.postgres.connections import Access, connect, translated


class PostgresLeases:
    """Belongs to the event loop that made it."""

    def __init__(self, access: Access, replica: str, lease_seconds: float) -> None:
        self._access = access
        self._replica = replica
        self._seconds = lease_seconds
        self._connection: asyncpg.Connection | None = None

    async def take(self) -> None:
        """Starts the lease; runs that an earlier replica of this name held are left to the reaper."""
        connection = await self._connected()
        with translated():
            await connection.execute(statements.TAKE_LEASE, self._replica, self._seconds)

    async def renew(self) -> bool:
        """One statement; see the contract."""
        connection = await self._connected()
        try:
            with translated():
                # A beat that takes longer than the lease is worth nothing.
                alive: bool = await connection.fetchval(
                    statements.RENEW_LEASE, self._replica, self._seconds, timeout=self._seconds
                )
                return alive
        except (StorageUnavailable, asyncio.CancelledError):
            # A connection that does not answer may never do so again, though a new one would.
            connection.terminate()
            raise

    async def close(self) -> None:
        """Gives the lease up, unless the database is gone; then it runs out by itself."""
        if self._connection is None or self._connection.is_closed():
            return
        try:
            await self._connection.execute(statements.GIVE_UP_LEASE, self._replica)
            await self._connection.close()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            self._connection.terminate()

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._access)
        return self._connection
