"""What replicas know of one another: which are alive (leases), and what has just happened (signals)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from lgs_runtime.model import Release, Signal

NO_RELEASE: Final = Release()
"""The release of a replica that does not say what it runs."""


class Lease(Protocol):
    """The lease of one replica, on its own connection, so a busy event loop or pool can't hold it up.

    May be used from another thread, with that thread's own event loop.
    """

    async def renew(self) -> bool:
        """Extends the replica's lease by `lease_seconds`, in one statement, even when it had run out, if
        nobody has taken this replica's runs. False: they were taken, and the lease is new and empty now."""

    async def close(self) -> None:
        """Gives up the lease (the replica holds no runs any more) and closes the connection."""


class Leases(Protocol):
    """The leases of replicas."""

    async def take(
        self, replica: str, graphs: Sequence[str] | None = None, release: Release = NO_RELEASE
    ) -> Lease:
        """Takes the lease of a replica. `graphs`: the graphs it has (None: any); `release`: what it runs.
        Await this on the event loop that is going to renew the lease."""


class Signals(Protocol):
    """Messages from one replica to all."""

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[Signal]]:
        """Signals from all replicas, including this one, while the context is open. Reconnects by itself;
        after a gap it yields one `Signal("queued", "")`."""

    def send(self, *signals: Signal) -> None:
        """Sends signals to all replicas, including this one: soon, without waiting, and without ever
        failing."""
