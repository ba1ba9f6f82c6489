"""What replicas know of one another: who lives, and what has just happened."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from lgs_runtime.model import Release, Signal

NO_RELEASE: Final = Release()
"""It is not said what a replica runs."""


class Lease(Protocol):
    """The lease of one replica, on a connection of its own: a busy event loop or pool can't hold it up.

    May be used from another thread with an event loop of its own.
    """

    async def renew(self) -> bool:
        """Extends the replica's lease by `lease_seconds`, in one statement, also when it had run out and
        nobody has taken this replica's runs. False: they were taken; the lease is new and empty now."""

    async def close(self) -> None:
        """Gives the lease up (the replica holds no runs any more) and closes the connection."""


class Leases(Protocol):
    """The leases of replicas."""

    async def take(
        self, replica: str, graphs: Sequence[str] | None = None, release: Release = NO_RELEASE
    ) -> Lease:
        """The replica's lease, taken, what graphs it has (None: any) and what it runs. To be awaited on the
        event loop that is going to renew it."""


class Signals(Protocol):
    """Messages from one replica to all."""

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[Signal]]:
        """Signals from all replicas, this one included, while the context is open. Reconnects by itself;
        after a gap it yields one `Signal("queued", "")`."""

    def send(self, *signals: Signal) -> None:
        """Sends signals to all replicas, this one included: soon, without waiting, and never failing."""
