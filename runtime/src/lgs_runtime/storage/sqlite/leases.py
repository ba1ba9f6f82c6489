"""The lease of one replica in SQLite, with its own connection and thread.

The lease is measured by the machine's monotonic clock, which all processes that share the file have in
common: the wall clock may be set, and a living replica must not lose its runs by that. A lease whose start is
later than that clock's time now was taken before the machine was restarted.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from lgs_runtime.database.json_columns import dump
from lgs_runtime.database.sqlite import connect, transaction, translated
from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.model import Release
from lgs_runtime.storage.contract.replicas import NO_RELEASE
from lgs_runtime.storage.options import StorageOptions
from lgs_runtime.storage.sqlite.statements.replicas import GIVE_UP_LEASE, RENEW_LEASE, SET_LEASE, UNCLAIM_RUNS

_Result = TypeVar("_Result")


def extend(path: Path, replica: str, lease_seconds: float) -> bool:
    """Extends a lease on a connection made for this call; returns whether there is a lease. Raises
    `StorageUnavailable`."""
    with translated(path), closing(connect(path)) as connection, transaction(connection):
        return _extended(connection, replica, lease_seconds)


def _extended(connection: sqlite3.Connection, replica: str, seconds: float) -> bool:
    lease = {"replica": replica, **_until(seconds)}
    return connection.execute(RENEW_LEASE, lease).rowcount == 1


def _until(seconds: float) -> dict[str, float]:
    """The columns of a lease that lasts `seconds` from now. `expires_at` is for replicas of an earlier
    release."""
    steady = time.monotonic()
    return {"expires_at": time.time() + seconds, "held_from": steady, "held_until": steady + seconds}


class SqliteLease:
    """The lease of one replica. May be used from any one event loop."""

    def __init__(
        self,
        path: Path,
        replica: str,
        lease_seconds: float,
        graphs: Sequence[str] | None = None,
        release: Release = NO_RELEASE,
    ) -> None:
        self._path = path
        self._replica = replica
        self._seconds = lease_seconds
        self._graphs = None if graphs is None else dump(list(graphs))
        self._release = release
        self._thread = ThreadPoolExecutor(1, "lgs-sqlite-lease")
        self._connection: sqlite3.Connection | None = None
        self._lost = False
        """There is no lease, and no caller has been told so yet."""

    async def take(self) -> None:
        """Starts the lease; runs that an earlier replica of this name held are left to the reaper."""
        await self._run(self._take)

    async def renew(self) -> bool:
        """Renews the lease; see the contract. If the answer that it was lost did not reach the caller, the
        next call gives it again."""
        kept = await self._run(self._renew)
        self._lost = False
        return kept

    async def close(self) -> None:
        """Gives up the lease; when the file can't be used, the lease runs out by itself."""
        try:
            await self._run(lambda c: c.execute(GIVE_UP_LEASE, {"replica": self._replica}))
        except StorageUnavailable:
            return
        finally:
            self._thread.shutdown(wait=False)
            if self._connection is not None:
                self._connection.close()

    def _renew(self, connection: sqlite3.Connection) -> bool:
        if not self._lost and _extended(connection, self._replica, self._seconds):
            return True
        self._lost = True
        self._take(connection)
        return False

    def _take(self, connection: sqlite3.Connection) -> None:
        connection.execute(UNCLAIM_RUNS, {"replica": self._replica})
        lease = {
            "replica": self._replica,
            "graphs": self._graphs,
            "revision": self._release.revision,
            "share": self._release.canary_percent,
            "pinning": self._release.pinning,
            **_until(self._seconds),
        }
        connection.execute(SET_LEASE, lease)

    async def _run(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)

    def _transact(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        with translated(self._path):
            if self._connection is None:
                self._connection = connect(self._path)
            with transaction(self._connection):
                return work(self._connection)


class SqliteLeases:
    """Implements `Leases` of the contract."""

    def __init__(self, path: Path, options: StorageOptions) -> None:
        self._path = path
        self._options = options

    async def take(
        self, replica: str, graphs: Sequence[str] | None = None, release: Release = NO_RELEASE
    ) -> SqliteLease:
        lease = SqliteLease(self._path, replica, self._options.lease_seconds, graphs, release)
        await lease.take()
        return lease
