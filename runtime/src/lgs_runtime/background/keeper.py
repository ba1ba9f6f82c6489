"""Keeps the lease of a replica that can't for a moment: a process of its own, which the replica starts.

A call of C code that holds the interpreter lock (a regular expression that backtracks) stops all threads of
the replica, the one that renews its lease too. This process hears of each renewal through a pipe. When none
has come for half a lease it extends the lease itself, as long as the replica exists and is not stopped, and
for `stall_seconds` at most. It makes no lease and knows no runs. The end of the pipe is its end.

It is kept small: it loads a driver and connects only when it is needed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

LOOKS_PER_LEASE = 10
STOPPED = "TtZXx"
"""States of a process that does nothing more, or nothing until somebody lets it (`proc(5)`)."""


class Vigil:
    """When the lease is to be extended, by what was heard of the replica; times of `time.monotonic`."""

    def __init__(self, lease_seconds: float, stall_seconds: float, now: float) -> None:
        self._lease_seconds = lease_seconds
        self._stall_seconds = stall_seconds
        self._heard_at = now
        self._until: float | None = None

    def heard(self, until: float, now: float) -> None:
        """The replica has renewed its lease itself."""
        self._until, self._heard_at = until, now

    def extended(self, asked_at: float) -> None:
        """The lease was extended by a statement that began at this time."""
        self._until = asked_at + self._lease_seconds

    def lost(self) -> None:
        """There is no lease to extend: nothing is to be done until the replica has one."""
        self._until = None

    def pause(self, now: float) -> float | None:
        """Seconds until the lease is to be extended; 0: now; None: not before there is news."""
        if self._until is None or now - self._heard_at >= self._stall_seconds:
            return None
        return max(0.0, self._until - self._lease_seconds / 2 - now)


def runs(pid: int) -> bool:
    """Whether a process is neither stopped nor dead; where there is no `/proc` nobody can tell."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return not Path("/proc/self/stat").exists()
    return state not in STOPPED


def keep(
    news: int, parent: int, vigil: Vigil, extend: Callable[[], bool | None], *, look_seconds: float
) -> None:
    """Reads news from a pipe until its end, or until the parent is another. `extend` gives None when the
    database did not answer."""
    while os.getppid() == parent:
        pause = vigil.pause(time.monotonic())
        if select.select([news], [], [], pause)[0]:
            told = os.read(news, 65536)
            if not told:
                return
            vigil.heard(float(told.split()[-1]), time.monotonic())
        elif runs(parent):
            asked_at = time.monotonic()
            if (kept := extend()) is None:
                time.sleep(look_seconds)
            elif kept:
                vigil.extended(asked_at)
            else:
                vigil.lost()
        else:
            # It may be let go on before its lease has run out.
            time.sleep(look_seconds)


def extending(uri: str, replica: str, lease_seconds: float) -> Callable[[], bool | None]:
    """A function that extends a lease, and says whether there is one."""

    def extend() -> bool | None:
        from lgs_runtime.background.extending import extend_lease  # noqa: PLC0415 - most replicas never need it

        return extend_lease(uri, replica, lease_seconds)

    return extend


def main() -> None:
    """The life of the process. Its first line of input says what it keeps."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # The replica still drains; its end is the end of the pipe.
        signal.signal(number, signal.SIG_IGN)
    told = b""
    while not told.endswith(b"\n"):
        part = os.read(sys.stdin.fileno(), 1)
        if not part:
            return
        told += part
    given = json.loads(told)
    lease = float(given["lease_seconds"])
    vigil = Vigil(lease, float(given["stall_seconds"]), time.monotonic())
    extend = extending(given["uri"], given["replica"], lease)
    keep(sys.stdin.fileno(), int(given["parent"]), vigil, extend, look_seconds=lease / LOOKS_PER_LEASE)


if __name__ == "__main__":
    main()
