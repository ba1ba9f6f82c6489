"""The queue of runs in PostgreSQL.

The three steps that every run takes (enqueue, claim, finish) are one statement each. The rest (strategies, a
queue near its limit, cancelling, reaping) are short transactions that lock the threads first, then the runs,
and carry out what `transitions` decides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.database.json_columns import escape
from lgs_runtime.database.postgres import Database
from lgs_runtime.database.postgres_connections import LOST_RACE
from lgs_runtime.errors import LeaseLost, RollbackAsked, StorageUnavailable
from lgs_runtime.model import (
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
from lgs_runtime.storage.actor import who
from lgs_runtime.storage.options import StorageOptions
from lgs_runtime.storage.postgres import apply_transitions, enqueue_locked, rows
from lgs_runtime.storage.postgres.apply_transitions import Change
from lgs_runtime.storage.postgres.arrivals import Arrivals
from lgs_runtime.storage.postgres.completion import BatchCompleter
from lgs_runtime.storage.postgres.signals import PostgresSignals
from lgs_runtime.storage.postgres.statements.arrivals import LOCK_PRIORITY, LOCK_USER
from lgs_runtime.storage.postgres.statements.queue import (
    CLAIM,
    DELETE_LOST_REPLICAS,
    DEPTH,
    HELD_BY,
    JOIN,
    LEAVE,
    LOCK_RUNS,
    LOCK_THREADS,
    LOST_RUNS,
    LOST_THREADS,
    OWN_RUNS,
    TAKE_ONLY,
    TAKEN_BY_ANY,
    UNSERVED,
)

_Result = TypeVar("_Result")
CLAIM_TRIES = 5


class PostgresQueue:
    """Implements `Queue` of the contract."""

    def __init__(
        self, database: Database, by_key: Database, signals: PostgresSignals, options: StorageOptions
    ) -> None:
        """`by_key`: the same database, through connections that plan each statement once."""
        self._database = database
        self._signals = signals
        self._arrivals = Arrivals(by_key)
        self._completer = BatchCompleter(by_key, options)

    async def close(self) -> None:
        """Finishes what is under way."""
        await self._arrivals.close()
        await self._completer.close()

    async def enqueue(self, new: NewRun, limits: QueueLimits, claim_for: str | None = None) -> Enqueued:
        """One statement for all runs that arrive at the moment, unless the thread or the queue needs a
        transaction that locks the thread."""
        room = limits.of(new.priority) - transitions.NEAR_LIMIT
        row = None
        try:
            if not enqueue_locked.is_limited(limits):
                row = await self._arrivals.store(new, claim_for, room)
        except LOST_RACE:
            row = None  # Stored before, or its thread has just become busy.
        if row is None:
            row = await self._change(
                lambda change: enqueue_locked.enqueue_locked(change, new, limits, claim_for)
            )
        assert row is not None, "the slow way stores or raises"
        claimed = row["status"] == "running" and row["claimed_by"] == claim_for
        if not claimed:
            self._signals.send(Signal("queued", new.run_id))
        return Enqueued(rows.run(row), claimed)

    async def enqueue_all(self, new: Sequence[NewRun], limits: QueueLimits) -> Sequence[Run]:
        """One transaction; it takes the locks of all threads, then those of the queues."""

        async def work(change: Change) -> list[asyncpg.Record]:
            connection = change.connection
            await connection.fetch(LOCK_THREADS, [one.thread_id for one in new])
            if enqueue_locked.is_limited(limits):
                await connection.execute(LOCK_USER, escape(who()))
            for code in sorted({transitions.CODE[one.priority] for one in new}):
                await connection.execute(LOCK_PRIORITY, code)
            change.notifications.append(Signal("queued", ""))
            return [await enqueue_locked.next_of_many(change, one, limits) for one in new]

        return [rows.run(row) for row in await self._change(work)]

    async def _change(self, work: Callable[[Change], Awaitable[_Result]]) -> _Result:
        """Runs `work` in a transaction, and sends the signals it makes after the commit."""

        async def attempt(connection: asyncpg.Connection) -> tuple[_Result, list[Signal]]:
            change = Change(connection)
            return await work(change), change.notifications

        result, notifications = await self._database.transact(attempt)
        self._signals.send(*notifications)
        return result

    async def take_only(self, replica: str, graphs: Sequence[str]) -> None:
        await self._database.rows(TAKE_ONLY, replica, list(graphs))

    async def leave(self, replica: str) -> None:
        await self._database.rows(LEAVE, replica)

    async def join(self, replica: str) -> None:
        await self._database.rows(JOIN, replica)

    async def claim(self, replica: str, slots: int, graphs: Sequence[str] | None = None) -> Sequence[Run]:
        """One statement, repeated when other replicas were claiming the same runs."""
        among = None if graphs is None else list(graphs)
        found: list[asyncpg.Record] = []
        for _ in range(CLAIM_TRIES if slots > 0 else 0):
            try:
                got = await self._database.retried(
                    partial(self._claim_once, replica, slots - len(found), among)
                )
            except StorageUnavailable:
                if not found:
                    raise
                break  # What was claimed is the replica's, and must not be lost with the second claim.
            claimed = [row for row in got if row["run_id"] is not None]
            found += claimed
            if len(found) >= slots or got[0]["seen"] <= len(claimed):
                break
        return [rows.run(row) for row in _in_line(found)]

    async def _claim_once(self, replica: str, slots: int, graphs: list[str] | None) -> list[asyncpg.Record]:
        return await self._database.rows(CLAIM, replica, slots, graphs)

    async def held(self, replica: str) -> Sequence[Run]:
        return [rows.run(row) for row in await self._database.rows(HELD_BY, replica)]

    async def finish(self, run: Run, replica: str, outcome: Outcome) -> Finished:
        """One statement for all runs that end at the moment."""
        finished = await self._completer.store(run, replica, outcome)
        if isinstance(finished, RollbackAsked):
            raise finished
        if finished is None:
            raise LeaseLost(f"run {run.run_id}: attempt {run.attempt} is no longer held by replica {replica}")
        self._signals.send(Signal("finished", run.run_id))
        if finished.waiting:
            self._signals.send(Signal("queued", ""))
        return finished

    async def release(self, replica: str, runs: Sequence[Run]) -> None:
        threads = [run.thread_id for run in runs]
        own = ([run.run_id for run in runs], [run.attempt for run in runs], replica)

        async def work(change: Change) -> None:
            await change.connection.fetch(LOCK_THREADS, threads)
            held = await change.connection.fetch(OWN_RUNS, *own)
            decided = {row["run_id"]: transitions.handed_back(row["cancel_requested"]) for row in held}
            await apply_transitions.apply(change, held, decided, {}, charge=False)

        if runs:
            await self._change(work)

    async def reap(self, max_attempts: int, replica: str | None = None) -> Sequence[Run]:
        """One cheap statement when no replica was lost."""
        found = await self._database.rows(LOST_THREADS, replica)
        threads = [row["thread_id"] for row in found]

        async def work(change: Change) -> Sequence[Run]:
            connection = change.connection
            await connection.execute(DELETE_LOST_REPLICAS, replica)
            await connection.fetch(LOCK_THREADS, threads)
            held = await connection.fetch(LOST_RUNS, threads)
            decided = {
                r["run_id"]: transitions.lost(r["attempt"], r["cancel_requested"], max_attempts) for r in held
            }
            reasons = {row["run_id"]: transitions.lost_reason(row["attempt"], max_attempts) for row in held}
            await apply_transitions.apply(change, held, decided, reasons, charge=True)
            return await apply_transitions.afterwards(change, held)

        return await self._change(work) if threads else []

    async def end_unserved(self, reasons: Mapping[str, str], waited_seconds: float) -> Sequence[Run]:
        asked = (list(reasons), waited_seconds)
        threads = [row["thread_id"] for row in await self._database.rows(UNSERVED, *asked, None)]

        async def work(change: Change) -> Sequence[Run]:
            await change.connection.fetch(LOCK_THREADS, threads)
            held = await change.connection.fetch(f"{UNSERVED} FOR UPDATE OF r", *asked, threads)
            ends: dict[str, transitions.Transition] = {row["run_id"]: "fail" for row in held}
            said = {row["run_id"]: reasons[row["graph_id"]] for row in held}
            await apply_transitions.apply(change, held, ends, said, charge=True)
            return await apply_transitions.afterwards(change, held)

        return await self._change(work) if threads else []

    async def cancel(
        self,
        thread_id: str | None,
        run_ids: Sequence[str],
        action: CancelAction,
        scope: Scope | None = None,
    ) -> Sequence[Run]:

        async def work(change: Change) -> Sequence[Run]:
            held = await apply_transitions.named(change, run_ids, thread_id, scope)
            await change.connection.fetch(LOCK_THREADS, [row["thread_id"] for row in held])
            await change.connection.execute(LOCK_RUNS, list(run_ids))
            held = await apply_transitions.named(change, run_ids, thread_id, scope)
            unfinished = [rows.unfinished_of(row) for row in held if row["status"] in ("pending", "running")]
            await apply_transitions.carry_out(change, transitions.cancellation(unfinished, action), action)
            # Runs that had ended left before; of a thread's other runs, the one named last leaves last.
            left = {row["thread_id"]: row for row in held if row["status"] == "pending"}
            await apply_transitions.drop_orphaned(change, left.values())
            change.notifications.extend(Signal("thread", thread) for thread in left)
            if unfinished:
                change.notifications.append(Signal("queued", ""))
            return await apply_transitions.afterwards(change, held)

        return await self._change(work) if run_ids else []

    async def takes(self, graph_id: str) -> bool:
        return bool(await self._database.rows(TAKEN_BY_ANY, graph_id))

    async def depth(self) -> QueueDepth:
        """One statement over the waiting runs."""
        counted = await self._database.rows(DEPTH)
        found = {row["priority"]: row for row in counted if row["unserved"] is None}

        def of(priority: Priority) -> PriorityDepth:
            row = found.get(transitions.CODE[priority])
            return PriorityDepth(row["waiting"], max(0.0, row["oldest"])) if row else PriorityDepth(0, 0.0)

        blocked = sum(row["blocked"] for row in counted)
        unserved = transitions.by_graph((row["unserved"], row["waiting"]) for row in counted)
        due = min((row["next_due"] for row in counted if row["next_due"] is not None), default=None)
        return QueueDepth(of(Priority.HIGH), of(Priority.NORMAL), of(Priority.LOW), blocked, unserved, due)


def _in_line(claimed: Sequence[asyncpg.Record]) -> list[asyncpg.Record]:
    """The rows in the order in which they were picked: RETURNING keeps none."""
    by_id = {row["run_id"]: row for row in claimed}
    line = (fairness.Waiting(row["run_id"], row["level"], row["turn"], row["rank"]) for row in claimed)
    return [by_id[run.run_id] for run in fairness.in_line(line)]
