"""What is pinned to revisions, in SQLite."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from lgs_runtime.model import Pinned, Signal
from lgs_runtime.storage.pins import absence
from lgs_runtime.storage.sqlite.change import Change, Changes
from lgs_runtime.storage.sqlite.statements.pins import (
    FORGET,
    FREE_RUNS,
    FREE_THREADS,
    KNOWN,
    NOTE,
    THERE,
    UNFINISHED,
    WAITING,
)


class SqlitePins:
    """Implements `Pins` of the contract. The clock of a file is that of its machine."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    async def watch(
        self, wait_seconds: float, *, revision: str | None = None, period_seconds: float = 0.0
    ) -> Sequence[Pinned]:
        known = await self._changes.database.read(lambda c: c.execute(KNOWN).fetchall())
        # A count from before the clock was set back is not young.
        if known and 0 <= time.time() - max(row["seen_at"] for row in known) < period_seconds:
            return [Pinned(row["revision"], row["threads"], row["runs"]) for row in known]
        return await self._changes.run(lambda change: _look(change, wait_seconds, revision))


def _look(change: Change, wait_seconds: float, own: str | None) -> list[Pinned]:
    before = {row["revision"]: row for row in change.all(KNOWN)}
    threads = {row["revision"]: row["pinned"] for row in change.all(WAITING)}
    runs = {row["revision"]: row["pinned"] for row in change.all(UNFINISHED)}
    there = {row["revision"] for row in change.all(THERE)} | ({own} if own is not None else set())
    found = []
    for each in sorted(before.keys() | threads.keys() | runs.keys() | there):
        was = before.get(each)
        elapsed = 0.0 if was is None else change.now - was["seen_at"]
        absent = absence(was["absent_seconds"] if was else 0.0, elapsed, is_there=each in there)
        pinned = Pinned(each, threads.get(each, 0), runs.get(each, 0))
        counts = {"threads": pinned.threads, "runs": pinned.runs}
        change.run(NOTE, revision=each, absent_seconds=absent, **counts)
        if each not in there and absent >= wait_seconds:
            if not any(counts.values()):
                change.run(FORGET, revision=each)
                continue
            pinned = replace(pinned, moved=_free(change, each))
        found.append(pinned)
    return found


def _free(change: Change, revision: str) -> int:
    """Frees what is pinned to a revision, a step of it; how much that was."""
    threads = change.all(FREE_THREADS, revision=revision)
    runs = change.all(FREE_RUNS, revision=revision)
    change.notifications.append(Signal("queued", ""))
    return len([row for row in threads if row["rest"] == "interrupted"]) + len(runs)
