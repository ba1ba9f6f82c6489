"""Leases in tests, on machines that may stand still for seconds at any moment.

A lease that a test only needs to be held is long. One that is to run out does so when the test says so. Where
time itself is what is tested, the story is played again with more of it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from support.database_edits import edit_row, is_sqlite

LONG_SECONDS = 60.0
"""Longer than any machine stands still."""
REAPS_PER_LONG_LEASE = 240
"""With which leases that have run out are found as soon as with short ones."""
PLAYS_SECONDS = (2.0, 6.0, 16.0)
T = TypeVar("T")


async def played(play: Callable[[float], Awaitable[T]], right: T) -> T:
    """The result of a story that gets the length of its leases: the first that is `right`, else that of
    the longest. What holds only on a machine that never stands still for longer than a lease holds here."""
    for lease_seconds in PLAYS_SECONDS:
        came = await play(lease_seconds)
        if came == right:
            break
    return came


def end_lease(database_uri: str, replica: str) -> None:
    """Lets the lease of a replica run out now."""
    if is_sqlite(database_uri):
        change = "UPDATE lgs_replica SET expires_at = ?, held_until = ? WHERE replica = ?"
        edit_row(database_uri, change, time.time(), time.monotonic(), replica)
    else:
        edit_row(database_uri, "UPDATE lgs_replica SET expires_at = now() WHERE replica = ?", replica)
