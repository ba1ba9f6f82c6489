"""The contract of every storage, in parts: each part is a protocol with one implementation per database.

The two implementations, SQLite and PostgreSQL, pass one contract suite. All methods raise
`StorageUnavailable` when the database can't be reached, and never leave half of a change. The database's
clock is the only one that counts.

Where a method takes a `scope`, records outside of it do not exist for the caller: they are not found, listed,
counted or changed. A run is within the scope of its thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from lgs_runtime.storage.contract.assistants import Assistants
from lgs_runtime.storage.contract.crons import Crons
from lgs_runtime.storage.contract.histories import Archives, Audit, Versions
from lgs_runtime.storage.contract.pins import Pins
from lgs_runtime.storage.contract.queue import Queue
from lgs_runtime.storage.contract.replicas import NO_RELEASE, Lease, Leases, Signals
from lgs_runtime.storage.contract.runs import Orphans, Runs, Webhooks
from lgs_runtime.storage.contract.spending import Spending
from lgs_runtime.storage.contract.threads import Threads

__all__ = [
    "NO_RELEASE",
    "Archives",
    "Assistants",
    "Audit",
    "Backend",
    "Crons",
    "Lease",
    "Leases",
    "Orphans",
    "Pins",
    "Queue",
    "Runs",
    "Signals",
    "Spending",
    "Storage",
    "Threads",
    "Versions",
    "Webhooks",
]


class Backend(Protocol):
    """The connections that the parts share."""

    async def ping(self) -> None:
        """Raises `StorageUnavailable` unless a statement runs now, and `DatabaseReplaced` when the database
        is empty or incomplete, or is not the one that was opened."""

    async def note_families(self) -> None:
        """Notes in the database that it has the tables of the checkpointer and of the store, as soon as they
        are made: from then on, this replica and later ones take it for incomplete without them. Raises
        `ConfigError` when some of these tables are lost."""

    async def now(self) -> datetime:
        """The database's clock."""

    async def close(self) -> None:
        """Closes every connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A database of the service, by its parts: code takes only the part that it needs. Opened by
    `open_storage`, which also migrates it, safely even when several replicas start at once on an empty
    one."""

    name: str
    """`sqlite` or `postgres`, for `/info` and messages that people read."""
    database_id: str
    """The id that tells this database from another one."""
    queue: Queue
    runs: Runs
    webhooks: Webhooks
    orphans: Orphans
    assistants: Assistants
    threads: Threads
    versions: Versions
    audit: Audit
    archives: Archives
    crons: Crons
    spending: Spending
    pins: Pins
    signals: Signals
    leases: Leases
    backend: Backend

    async def ping(self) -> None:
        """Raises `StorageUnavailable` unless a statement runs now, and `DatabaseReplaced` when the database
        is empty or incomplete, or is not the one that was opened."""
        await self.backend.ping()

    async def note_families(self) -> None:
        """See `Backend`."""
        await self.backend.note_families()

    async def now(self) -> datetime:
        """The database's clock."""
        return await self.backend.now()

    async def close(self) -> None:
        """Closes every connection."""
        await self.backend.close()
