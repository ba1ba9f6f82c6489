"""The lease of one replica in PostgreSQL, on its own connection, which is opened again after a loss."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.database.postgres_connections import Access, connect, translated
from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.model import Release
from lgs_runtime.storage.contract.replicas import NO_RELEASE
from lgs_runtime.storage.identity import Known
from lgs_runtime.storage.options import StorageOptions
from lgs_runtime.storage.postgres.identity import check
from lgs_runtime.storage.postgres.statements.replicas import GIVE_UP_LEASE, RENEW_LEASE, TAKE_LEASE


async def extend(uri: str, replica: str, lease_seconds: float) -> bool:
    """Extends a lease on a connection made for this call. It depends on no session state, so any pooler may
    stand between. Returns whether there is a lease. Raises `StorageUnavailable`."""
    connection = await connect(Access(uri, pooled=True, names=False))
    try:
        with translated():
            return await _extended(connection, replica, lease_seconds)
    finally:
        connection.terminate()


async def _extended(connection: asyncpg.Connection, replica: str, seconds: float) -> bool:
    # A renewal that takes longer than the lease is worth nothing.
    extended = await connection.fetchval(RENEW_LEASE, replica, seconds, timeout=seconds)
    return extended is not None


class PostgresLease:
    """The lease of one replica. Belongs to the event loop that made it."""

    def __init__(
        self,
        access: Access,
        replica: str,
        lease_seconds: float,
        graphs: Sequence[str] | None = None,
        release: Release = NO_RELEASE,
        *,
        known: Known,
    ) -> None:
        """`known`: a lease that was lost is taken again in this database only. If the address now leads
        to another database, the replica would claim the runs of another service there."""
        self._access = access
        self._replica = replica
        self._seconds = lease_seconds
        self._graphs = None if graphs is None else list(graphs)
        self._release = release
        self._known = known
        self._connection: asyncpg.Connection | None = None
        self._lost = False
        """There is no lease, and no caller has been told so yet."""

    async def take(self) -> None:
        """Starts the lease; runs that an earlier replica of this name held are left to the reaper."""
        connection = await self._connected()
        with translated():
            await connection.execute(TAKE_LEASE, *self._taken())

    async def renew(self) -> bool:
        """Renews the lease, in one statement while it is there; see the contract. If the answer that it was
        lost did not reach the caller, the next call gives it again."""
        connection = await self._connected()
        try:
            with translated():
                if not self._lost:
                    if await _extended(connection, self._replica, self._seconds):
                        return True
                    self._lost = True
                await check(connection, self._known)
                await connection.execute(TAKE_LEASE, *self._taken(), timeout=self._seconds)
        except (StorageUnavailable, asyncio.CancelledError):
            # A connection that does not answer may never do so again, though a new one would.
            connection.terminate()
            raise
        self._lost = False
        return False

    async def close(self) -> None:
        """Gives up the lease; when the database is unreachable, the lease runs out by itself."""
        if self._connection is None or self._connection.is_closed():
            return
        try:
            await self._connection.execute(GIVE_UP_LEASE, self._replica)
            await self._connection.close()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            self._connection.terminate()

    def _taken(self) -> tuple[Any, ...]:
        release = self._release
        said = release.revision, release.canary_percent, release.pinning
        return self._replica, self._seconds, self._graphs, *said

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._access)
        return self._connection


class PostgresLeases:
    """Implements `Leases` of the contract."""

    def __init__(self, access: Access, options: StorageOptions, known: Known) -> None:
        """`known`: what is known of the database."""
        self._access = access
        self._options = options
        self._known = known

    async def take(
        self, replica: str, graphs: Sequence[str] | None = None, release: Release = NO_RELEASE
    ) -> PostgresLease:
        seconds = self._options.lease_seconds
        lease = PostgresLease(self._access, replica, seconds, graphs, release, known=self._known)
        await lease.take()
        return lease
