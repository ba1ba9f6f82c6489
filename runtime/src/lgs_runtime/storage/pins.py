"""Which replicas take what is pinned to a revision. Pure functions; `docs/queue.md` explains the rule.

A thread is pinned while something of it is unfinished: a run that was claimed, until it ends, and a thread
that waits for an answer to its interrupts. SQLite calls these functions, PostgreSQL says the same in its
statements, and one test suite holds both to it.
"""

from __future__ import annotations

from typing import Final

from lgs_runtime.model.queue import Pinning

MOST_ABSENT_SECONDS: Final = 30.0
"""The most by which one look at a revision without replicas makes its absence longer. Time in which nobody
looked, since the whole service was stopped, is no absence."""
MOST_MOVED: Final = 5000
"""Threads, and runs, that one look frees at most; the next one goes on."""


def keeps(pinning: Pinning | None, revision: str | None, pin: str | None) -> bool:
    """Whether a replica of this `revision` takes a run that is pinned to `pin` (None: to none)."""
    if pinning is None or (pin is not None and pin == revision):
        return True
    return pin is None and pinning == "open"


def absence(before: float, elapsed: float, *, is_there: bool) -> float:
    """For how many seconds no replica of a revision has been there, `elapsed` seconds after the last look,
    which found it absent for `before` seconds."""
    return 0.0 if is_there else before + min(max(0.0, elapsed), MOST_ABSENT_SECONDS)
