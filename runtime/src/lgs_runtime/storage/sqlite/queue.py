"""The queue of runs in SQLite. Each method is one read or one write, or a write after a read that finds
something to do; the steps are here, in `arrivals` and in `completion`."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping, Sequence

from lgs_runtime.database.json_columns import dump
from lgs_runtime.model import (
    FINAL,
    CancelAction,
    Enqueued,
    Finished,
    NewRun,
    Outcome,
    Priority,
    PriorityDepth,
    QueueDepth,
    QueueLimits,
    Run,
    Scope,
    Signal,
)
from lgs_runtime.storage import fairness, transitions
from lgs_runtime.storage.sqlite import arrivals, completion, parts, rows
from lgs_runtime.storage.sqlite.change import Change, Changes
from lgs_runtime.storage.sqlite.completion import apply, carry_out
from lgs_runtime.storage.sqlite.statements.queue import (
    ALIVE,
    ANYTHING_CLAIMABLE,
    CLAIM,
    DELETE_LOST_REPLICAS,
    DEPTH,
    FIRST_OF_LEVELS,
    FLEET,
    HELD,
    HELD_BY,
    JOIN,
    LEAVE,
    LOST,
    OF_REPLICA,
    TAKE_ONLY,
    TAKEN_BY_ANY,
    UNSERVED,
)

LONG_WAIT_SECONDS = 0.5
"""Seconds of waiting for the file that mean that some process stood still."""


class SqliteQueue:
    """Implements `Queue` of the contract."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._database = changes.database

    async def enqueue(self, new: NewRun, limits: QueueLimits, claim_for: str | None = None) -> Enqueued:
        row = await self._changes.run(lambda change: arrivals.enqueue(change, new, limits, claim_for))
        return Enqueued(rows.run(row), row["status"] == "running" and row["claimed_by"] == claim_for)

    async def enqueue_all(self, new: Sequence[NewRun], limits: QueueLimits) -> Sequence[Run]:
        stored = await self._changes.run(
            lambda change: [arrivals.enqueue(change, one, limits, None) for one in new]
        )
        return [rows.run(row) for row in stored]

    async def take_only(self, replica: str, graphs: Sequence[str]) -> None:
        named = {"replica": replica, "graphs": dump(list(graphs))}
        await self._database.write(lambda c: c.execute(TAKE_ONLY, named).rowcount)

    async def claim(self, replica: str, slots: int, graphs: Sequence[str] | None = None) -> Sequence[Run]:
        """Reads before it takes the write lock, so that idle replicas don't disturb."""
        among = None if graphs is None else dump(list(graphs))
        if slots < 1 or not await self._database.read(lambda c: _anything_claimable(c, replica, among)):
            return []
        found = await self._changes.run(lambda change: _claim(change, replica, slots, among))
        return [rows.run(row) for row in found]

    async def leave(self, replica: str) -> None:
        await self._database.write(lambda c: c.execute(LEAVE, {"replica": replica}).rowcount)

    async def join(self, replica: str) -> None:
        await self._database.write(lambda c: c.execute(JOIN, {"replica": replica}).rowcount)

    async def held(self, replica: str) -> Sequence[Run]:
        by = {"replica": replica}
        found = await self._database.read(lambda c: c.execute(HELD_BY, by).fetchall())
        return [rows.run(row) for row in found]

    async def finish(self, run: Run, replica: str, outcome: Outcome) -> Finished:
        return await self._changes.run(lambda change: completion.finish(change, run, replica, outcome))

    async def release(self, replica: str, runs: Sequence[Run]) -> None:
        if runs:
            await self._changes.run(lambda change: _release(change, replica, runs))

    async def reap(self, max_attempts: int, replica: str | None = None) -> Sequence[Run]:
        """One read when no replica was lost."""
        if not await self._database.read(lambda connection: _lost(connection, replica)):
            return []
        asked_at = time.monotonic()

        def reap(change: Change) -> Sequence[Run]:
            if time.monotonic() - asked_at > LONG_WAIT_SECONDS:
                # A process that stood still in the middle of a transaction has kept the others from renewing
                # their leases: let them renew first.
                return []
            return _reap(change, max_attempts, replica)

        return await self._changes.run(reap)

    async def end_unserved(self, reasons: Mapping[str, str], waited_seconds: float) -> Sequence[Run]:
        return await self._changes.run(lambda change: _end_unserved(change, reasons, waited_seconds))

    async def cancel(
        self,
        thread_id: str | None,
        run_ids: Sequence[str],
        action: CancelAction,
        scope: Scope | None = None,
    ) -> Sequence[Run]:
        if not run_ids:
            return []
        return await self._changes.run(lambda change: _cancel(change, thread_id, run_ids, action, scope))

    async def takes(self, graph_id: str) -> bool:
        named = {**_clocks(), "graph_id": graph_id}
        return await self._database.read(lambda c: c.execute(TAKEN_BY_ANY, named).fetchone()) is not None

    async def depth(self) -> QueueDepth:
        """One statement over the waiting runs."""
        now = _clocks()
        counted = await self._database.read(lambda c: c.execute(DEPTH, now).fetchall())
        found = {row["priority"]: row for row in counted if row["unserved"] is None}

        def of(priority: Priority) -> PriorityDepth:
            row = found.get(transitions.CODE[priority])
            return PriorityDepth(row["waiting"], row["oldest"]) if row else PriorityDepth(0, 0.0)

        blocked = sum(row["blocked"] for row in counted)
        unserved = transitions.by_graph((row["unserved"], row["waiting"]) for row in counted)
        due = min((row["next_due"] for row in counted if row["next_due"] is not None), default=None)
        return QueueDepth(of(Priority.HIGH), of(Priority.NORMAL), of(Priority.LOW), blocked, unserved, due)


def _clocks() -> dict[str, float]:
    return {"now": time.time(), "steady": time.monotonic()}


def _anything_claimable(connection: sqlite3.Connection, replica: str, graphs: str | None) -> bool:
    lease, now = connection.execute(OF_REPLICA, {"replica": replica}).fetchone(), _clocks()
    if lease is None:
        return False
    part = parts.part(lease, connection.execute(FLEET, now).fetchall())
    asked = {**now, **parts.pinning(lease), "graphs": graphs or lease["graphs"], "part": part}
    return bool(connection.execute(ANYTHING_CLAIMABLE, asked).fetchall())


def _lost(connection: sqlite3.Connection, replica: str | None) -> bool:
    asked = {**_clocks(), "replica": replica}
    return bool(connection.execute(LOST, asked).fetchall())


def _claim(change: Change, replica: str, slots: int, graphs: str | None) -> list[sqlite3.Row]:
    """Claims the first runs in line, in that order, for the replica: as many as it has slots, of `graphs` or
    else of the graphs that it takes; none when its lease has run out."""
    lease = change.one(ALIVE, replica=replica)
    if lease is None:
        return []
    part = parts.part(lease, change.all(FLEET))
    asked = {**parts.pinning(lease), "graphs": graphs or lease["graphs"], "part": part}
    found = change.all(FIRST_OF_LEVELS, slots=slots, **asked)
    first = [fairness.Waiting(*row) for row in found]
    run_ids = [run.run_id for run in fairness.in_line(first)[:slots]]
    claimed = change.all(CLAIM, replica=replica, run_ids=dump(run_ids), pin=parts.pin_of(lease))
    return sorted(claimed, key=lambda row: run_ids.index(row["run_id"]))


def _release(change: Change, replica: str, runs: Sequence[Run]) -> None:
    """Takes back from a replica those of the runs that it holds: no attempt is charged."""
    for run in runs:
        row = change.one(HELD, run_id=run.run_id, replica=replica, attempt=run.attempt)
        if row is not None:
            apply(change, row, transitions.handed_back(row["cancel_requested"]), None, charge=False)


def _reap(change: Change, max_attempts: int, replica: str | None) -> list[Run]:
    """Takes runs from replicas, other than the asking one, whose lease has run out. Returns the runs as they
    are then."""
    lost = change.all(LOST, replica=replica)
    change.run(DELETE_LOST_REPLICAS, replica=replica)
    for row in lost:
        transition = transitions.lost(row["attempt"], row["cancel_requested"], max_attempts)
        apply(change, row, transition, transitions.lost_reason(row["attempt"], max_attempts), charge=True)
    return change.afterwards(lost)


def _end_unserved(change: Change, reasons: Mapping[str, str], waited_seconds: float) -> list[Run]:
    """Ends runs that have waited for `waited_seconds` for a replica that takes their graph."""
    waiting = change.all(UNSERVED, graph_ids=dump(list(reasons)), waited=waited_seconds)
    for row in waiting:
        apply(change, row, "fail", reasons[row["graph_id"]], charge=True)
    return change.afterwards(waiting)


def _cancel(
    change: Change, thread_id: str | None, run_ids: Sequence[str], action: CancelAction, scope: Scope | None
) -> list[Run]:
    """Ends waiting runs, asks running ones to stop, and returns all as they are then. Raises `NotFound`
    before it changes anything."""
    named = [change.named(run_id, thread_id, scope) for run_id in dict.fromkeys(run_ids)]
    unfinished = [rows.unfinished_of(row) for row in named if row["status"] not in FINAL]
    carry_out(change, transitions.cancellation(unfinished, action), action)
    left = dict.fromkeys(row["thread_id"] for row in named if row["status"] == "pending")
    change.notifications.extend(Signal("thread", thread) for thread in left)
    return change.afterwards(named)
