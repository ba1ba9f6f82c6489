"""Keeps the lease of a replica while the replica itself can't: a separate process, which the replica starts.

C code that holds the interpreter lock (such as a backtracking regular expression) stops all threads of the
replica, including the one that renews its lease. This process receives each renewal through a pipe. If none
has arrived for half a lease, it extends the lease itself, as long as the replica exists and is not stopped,
and for at most `stall_seconds`. It never creates a lease, and does not touch runs. It ends when the pipe is
closed.

It is kept small: it loads a database driver and connects only when needed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

TRIES_PER_LEASE = 10
STOPPED = "TtZXx"
"""States of a process that is dead, or is stopped until somebody continues it (`proc(5)`)."""


class LeaseTimer:
    """Decides when the lease is to be extended, from the renewals of the replica. Times are of
    `time.monotonic`."""

    def __init__(self, lease_seconds: float, stall_seconds: float, now: float) -> None:
        self._lease_seconds = lease_seconds
        self._stall_seconds = stall_seconds
        self._renewed_at = now
        self._until: float | None = None

    def renewed(self, until: float, now: float) -> None:
        """Notes that the replica has renewed its lease itself, until `until`."""
        self._until, self._renewed_at = until, now

    def extended(self, asked_at: float) -> None:
        """Notes that the lease was extended, by a statement that began at `asked_at`."""
        self._until = asked_at + self._lease_seconds

    def lost(self) -> None:
        """Notes that there is no lease to extend: nothing is to be done until the replica has one again."""
        self._until = None

    def pause(self, now: float) -> float | None:
        """Seconds until the lease must be extended; 0: now; None: not before the next renewal."""
        if self._until is None or now - self._renewed_at >= self._stall_seconds:
            return None
        return max(0.0, self._until - self._lease_seconds / 2 - now)


def is_running(pid: int) -> bool:
    """Whether a process is neither stopped nor dead; without `/proc` that is unknown, and true is assumed."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return not Path("/proc/self/stat").exists()
    return state not in STOPPED


def keep(
    pipe: int, parent: int, timer: LeaseTimer, extend: Callable[[], bool | None], *, retry_seconds: float
) -> None:
    """Reads renewals from a pipe until it is closed or the parent process changes, and extends the lease when
    due. `extend` returns None if the database did not answer."""
    while os.getppid() == parent:
        pause = timer.pause(time.monotonic())
        if select.select([pipe], [], [], pause)[0]:
            received = os.read(pipe, 65536)
            if not received:
                return
            timer.renewed(float(received.split()[-1]), time.monotonic())
        elif is_running(parent):
            asked_at = time.monotonic()
            if (kept := extend()) is None:
                time.sleep(retry_seconds)
            elif kept:
                timer.extended(asked_at)
            else:
                timer.lost()
        else:
            # The stopped replica may be continued before its lease has run out.
            time.sleep(retry_seconds)


def extend_lease(uri: str, replica: str, lease_seconds: float) -> bool | None:
    """Extends a lease with one statement on a new connection. False: there is no lease; None: the database
    did not answer."""
    # Imported late: most replicas never need it, and no process needs both drivers.
    import asyncio  # noqa: PLC0415

    from lgs_runtime.database.addresses import address  # noqa: PLC0415
    from lgs_runtime.errors import ConfigError, StorageUnavailable  # noqa: PLC0415

    where = address(uri)
    try:
        if where.path is not None:
            from lgs_runtime.storage.sqlite import leases as of_sqlite  # noqa: PLC0415

            return of_sqlite.extend(where.path, replica, lease_seconds)
        from lgs_runtime.storage.postgres import leases as of_postgres  # noqa: PLC0415

        return asyncio.run(of_postgres.extend(where.uri, replica, lease_seconds))
    except (StorageUnavailable, ConfigError):
        return None


def main() -> None:
    """Runs the process. The first line of its input describes the lease to keep."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # On these signals the replica still drains; this process ends when the pipe is closed.
        signal.signal(number, signal.SIG_IGN)
    received = b""
    while not received.endswith(b"\n"):
        part = os.read(sys.stdin.fileno(), 1)
        if not part:
            return
        received += part
    given = json.loads(received)
    lease = float(given["lease_seconds"])
    timer = LeaseTimer(lease, float(given["stall_seconds"]), time.monotonic())
    extend = partial(extend_lease, given["uri"], given["replica"], lease)
    keep(sys.stdin.fileno(), int(given["parent"]), timer, extend, retry_seconds=lease / TRIES_PER_LEASE)


if __name__ == "__main__":
    main()
