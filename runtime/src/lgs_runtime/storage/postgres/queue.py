"""The queue of runs in PostgreSQL.

The three steps that every run takes (enqueue, claim, finish) are one statement each. The rest (strategies, a
queue near its limit, cancelling, reaping) are short transactions that lock the threads first, then the runs,
and carry out what `law` decides.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.errors import Conflict, LeaseLost, NotFound, QueueFull, StorageUnavailable, UserLimit
from lgs_runtime.model import (
    CancelAction,
    Enqueued,
    Finished,
    Json,
    NewRun,
    Outcome,
    Page,
    Priority,
    PriorityDepth,
    QueueDepth,
    QueueLimits,
    Run,
    RunStatus,
    Scope,
    Signal,
    Webhook,
)
from lgs_runtime.storage import fairness, law
from lgs_runtime.storage.actor import who
from lgs_runtime.storage.encoding import clean, dump_optional, dump_searchable
from lgs_runtime.storage.lifetime import columns
from lgs_runtime.storage.postgres import arrivals, rows, run_statements, statements
from lgs_runtime.storage.postgres.arrivals import Arrivals
from lgs_runtime.storage.postgres.audit import NOTE_CANCELLED
from lgs_runtime.storage.postgres.database import LOST_RACE, Database
from lgs_runtime.storage.postgres.endings import Endings
from lgs_runtime.storage.postgres.signals import Sender
from lgs_runtime.storage.scope import documents

_Result = TypeVar("_Result")
CLAIM_TRIES = 5


class PostgresQueue:
    """The `Queue` of the contract."""

    def __init__(self, database: Database, by_key: Database, sender: Sender, versions_limit: int) -> None:
        """`by_key`: the same database, whose connections plan a statement once."""
        self._database = database
        self._sender = sender
        self._arrivals = Arrivals(by_key)
        self._endings = Endings(by_key, versions_limit)
        self._versions_limit = versions_limit

    async def enqueue(self, new: NewRun, limits: QueueLimits, claim_for: str | None = None) -> Enqueued:
        """See the contract. One statement for all that arrive at the moment, unless the thread or the queue
        needs a closer look."""
        room = limits.of(new.priority) - law.NEAR_LIMIT
        row = None
        try:
            if not _is_limited(limits):
                row = await self._arrivals.store(new, claim_for, room)
        except LOST_RACE:
            row = None  # Stored before, or its thread has just become busy.
        if row is None:
            row = await self._change(lambda c, news: self._enqueue_slowly(c, news, new, limits, claim_for))
        assert row is not None, "the slow way stores or raises"
        claimed = row["status"] == "running" and row["claimed_by"] == claim_for
        if not claimed:
            self._sender.send(Signal("queued", new.run_id))
        return Enqueued(rows.run(row), claimed)

    async def enqueue_all(self, new: Sequence[NewRun], limits: QueueLimits) -> Sequence[Run]:
        """See the contract. One transaction; it takes the locks of all threads, then those of the queues."""

        async def work(connection: asyncpg.Connection, news: list[Signal]) -> list[asyncpg.Record]:
            await connection.fetch(statements.LOCK_THREADS, [one.thread_id for one in new])
            if _is_limited(limits):
                await connection.execute(statements.LOCK_USER, clean(who()))
            for code in sorted({law.CODE[one.priority] for one in new}):
                await connection.execute(statements.LOCK_PRIORITY, code)
            news.append(Signal("queued", ""))
            return [await self._enqueue_next(connection, news, one, limits) for one in new]

        return [rows.run(row) for row in await self._change(work)]

    async def _enqueue_next(
        self, connection: asyncpg.Connection, news: list[Signal], new: NewRun, limits: QueueLimits
    ) -> asyncpg.Record:
        """One of many in a transaction, in one statement if it can be."""
        room = limits.of(new.priority) - law.NEAR_LIMIT
        stored = await connection.fetchrow(statements.RUN, new.run_id, None, None)
        row = stored
        if row is None and not _is_limited(limits):
            values = arrivals.columns([arrivals.row(new, None, room)])
            row = await connection.fetchrow(run_statements.ENQUEUE, *values)
        return row or await self._enqueue_slowly(connection, news, new, limits, None)

    async def _change(
        self, work: Callable[[asyncpg.Connection, list[Signal]], Awaitable[_Result]]
    ) -> _Result:
        """Runs `work` in a transaction and sends the news it makes when that is committed."""
        news: list[Signal] = []

        async def attempt(connection: asyncpg.Connection) -> _Result:
            news.clear()
            return await work(connection, news)

        result = await self._database.transact(attempt)
        self._sender.send(*news)
        return result

    async def _enqueue_slowly(
        self,
        connection: asyncpg.Connection,
        news: list[Signal],
        new: NewRun,
        limits: QueueLimits,
        claim_for: str | None,
    ) -> asyncpg.Record:
        law.check_assistant(new, await connection.fetchval(statements.ASSISTANT_AS_OF, new.assistant_id))
        if new.create_thread:
            metadata = dump_searchable({**new.created_metadata, **new.thread_metadata})
            made = (new.thread_id, metadata, clean(who()), *columns(new.thread_ttl))
            await connection.execute(statements.CREATE_THREAD_FOR_RUN, *made)
        locked = await connection.fetch(statements.LOCK_THREADS, [new.thread_id])
        stored = await connection.fetchrow(statements.RUN, new.run_id, None, None)
        if stored is not None:
            return stored
        within = (new.thread_id, documents(new.scope))
        if not locked or not await connection.fetchval(statements.THREAD_WITHIN, *within):
            raise NotFound("thread", new.thread_id)
        busy = await _apply_strategy(connection, news, new)
        if _is_limited(limits):
            await _take_place(connection, new.priority, limits)
        claimed = False
        if claim_for is not None and not busy and new.delay_seconds <= 0:
            offset = fairness.rank_offset(fairness.level_of(new))
            claimed = await connection.fetchval(statements.MAY_CLAIM, claim_for, offset)
        if not claimed:
            await _take_room(connection, new.priority, limits)
        values = arrivals.columns([arrivals.row(new, claim_for if claimed else None, 0)])
        row = await connection.fetchrow(run_statements.INSERT_RUN, *values)
        assert row is not None, "the thread is locked, so it is there"
        return row

    async def claim(self, replica: str, slots: int) -> Sequence[Run]:
        """See the contract. One statement, again when others were claiming the same runs."""
        found: list[asyncpg.Record] = []
        for _ in range(CLAIM_TRIES if slots > 0 else 0):
            try:
                got = await self._database.retried(partial(self._claim_once, replica, slots - len(found)))
            except StorageUnavailable:
                if not found:
                    raise
                break  # What was claimed is the replica's, and must not be lost with the second look.
            claimed = [row for row in got if row["run_id"] is not None]
            found += claimed
            if len(found) >= slots or got[0]["seen"] <= len(claimed):
                break
        return [rows.run(row) for row in _in_line(found)]

    async def _claim_once(self, replica: str, slots: int) -> list[asyncpg.Record]:
        return await self._database.rows(statements.CLAIM, replica, slots)

    async def held(self, replica: str) -> Sequence[Run]:
        """See the contract."""
        return [rows.run(row) for row in await self._database.rows(statements.HELD_BY, replica)]

    async def finish(self, run: Run, replica: str, outcome: Outcome) -> Finished:
        """See the contract. One statement for all that end at the moment."""
        finished = await self._endings.store(run, replica, outcome)
        if finished is None:
            raise LeaseLost(f"run {run.run_id}: attempt {run.attempt} is no longer held by replica {replica}")
        self._sender.send(Signal("finished", run.run_id))
        if finished.waiting:
            self._sender.send(Signal("queued", ""))
        return finished

    async def release(self, replica: str, runs: Sequence[Run]) -> None:
        """See the contract."""
        threads = [run.thread_id for run in runs]
        own = ([run.run_id for run in runs], [run.attempt for run in runs], replica)

        async def work(connection: asyncpg.Connection, news: list[Signal]) -> None:
            await connection.fetch(statements.LOCK_THREADS, threads)
            held = await connection.fetch(statements.OWN_RUNS, *own)
            fates = {row["run_id"]: law.handed_back(row["cancel_requested"]) for row in held}
            await _meet(connection, news, held, fates, {}, charge=False)

        if runs:
            await self._change(work)

    async def reap(self, max_attempts: int) -> Sequence[Run]:
        """See the contract. One cheap statement when nobody was lost."""
        found = await self._database.rows(statements.LOST_THREADS)
        threads = [row["thread_id"] for row in found]

        async def work(connection: asyncpg.Connection, news: list[Signal]) -> Sequence[Run]:
            await connection.execute(statements.BURY_REPLICAS)
            await connection.fetch(statements.LOCK_THREADS, threads)
            held = await connection.fetch(statements.LOST_RUNS, threads)
            fates = {r["run_id"]: law.lost(r["attempt"], r["cancel_requested"], max_attempts) for r in held}
            reasons = {row["run_id"]: law.lost_reason(row["attempt"], max_attempts) for row in held}
            await _meet(connection, news, held, fates, reasons, charge=True)
            return await _afterwards(connection, held)

        return await self._change(work) if threads else []

    async def cancel(
        self,
        thread_id: str | None,
        run_ids: Sequence[str],
        action: CancelAction,
        scope: Scope | None = None,
    ) -> Sequence[Run]:
        """See the contract."""

        async def work(connection: asyncpg.Connection, news: list[Signal]) -> Sequence[Run]:
            held = await _named(connection, run_ids, thread_id, scope)
            await connection.fetch(statements.LOCK_THREADS, [row["thread_id"] for row in held])
            held = await _named(connection, run_ids, thread_id, scope)
            unfinished = [
                law.Unfinished(row["run_id"], row["status"] == "running")
                for row in held
                if row["status"] in ("pending", "running")
            ]
            await _carry_out(connection, news, law.cancellation(unfinished, action), action)
            # Those that had ended left before; of the others of a thread, the last named leaves last.
            left = {row["thread_id"]: row for row in held if row["status"] == "pending"}
            await _drop_spent(connection, left.values())
            if unfinished:
                news.append(Signal("queued", ""))
            return await _afterwards(connection, held)

        return await self._change(work) if run_ids else []

    async def unfinished(
        self,
        statuses: Sequence[RunStatus],
        not_asked: CancelAction,
        before: datetime,
        scope: Scope | None = None,
    ) -> Sequence[str]:
        """See the contract."""
        wanted = (list(statuses), not_asked, before, documents(scope))
        found = await self._database.rows(statements.UNFINISHED_RUNS, *wanted)
        return [row["run_id"] for row in found]

    async def run(self, run_id: str, thread_id: str | None = None, scope: Scope | None = None) -> Run:
        """See the contract."""
        row = await self._database.row(statements.RUN, run_id, thread_id, documents(scope))
        if row is None:
            raise NotFound("run", run_id)
        return rows.run(row)

    async def runs(
        self,
        thread_id: str,
        page: Page,
        status: RunStatus | None = None,
        metadata: Json | None = None,
        scope: Scope | None = None,
    ) -> Sequence[Run]:
        """See the contract."""
        wanted = (thread_id, status, dump_optional(metadata), page.limit, page.offset, documents(scope))
        found = await self._database.rows(statements.RUNS, *wanted)
        return [rows.run(row) for row in found]

    async def runs_of(
        self, user: str, page: Page, status: RunStatus | None = None, scope: Scope | None = None
    ) -> Sequence[Run]:
        """See the contract."""
        wanted = (clean(user), status, documents(scope), page.limit, page.offset)
        return [rows.run(row) for row in await self._database.rows(statements.RUNS_OF, *wanted)]

    async def delete_run(self, thread_id: str, run_id: str, scope: Scope | None = None) -> None:
        """See the contract."""
        values = (run_id, thread_id, documents(scope), clean(who()))
        if await self._database.value(statements.DELETE_RUN, *values) is None:
            run = await self.run(run_id, thread_id, scope)
            raise Conflict(
                f"run {run_id} is {run.status}: only a finished run can be deleted; cancel it first"
            )

    async def expire_runs(self, older_than_hours: float) -> int:
        """See the contract."""
        expired: int = await self._database.value(statements.EXPIRE_RUNS, older_than_hours)
        return expired

    async def claim_webhooks(
        self, limit: int, retry_seconds: float, longest_seconds: float
    ) -> Sequence[Webhook]:
        """See the contract. One statement."""
        found = await self._database.rows(statements.CLAIM_WEBHOOKS, limit, retry_seconds, longest_seconds)
        return [rows.webhook(row) for row in found]

    async def drop_webhook(self, run_id: str) -> None:
        """See the contract."""
        await self._database.rows(statements.DROP_WEBHOOK, run_id)

    async def spent_threads(self, older_than_seconds: float) -> Sequence[str]:
        """See the contract."""
        found = await self._database.rows(statements.SPENT_THREADS, older_than_seconds)
        return [row["thread_id"] for row in found]

    async def forget_spent(self, thread_ids: Sequence[str]) -> None:
        """See the contract."""
        await self._database.rows(statements.FORGET_SPENT, list(thread_ids))

    async def depth(self) -> QueueDepth:
        """See the contract. One statement over the waiting runs."""
        found = {row["priority"]: row for row in await self._database.rows(statements.DEPTH)}

        def of(priority: Priority) -> PriorityDepth:
            row = found.get(law.CODE[priority])
            return PriorityDepth(row["waiting"], max(0.0, row["oldest"])) if row else PriorityDepth(0, 0.0)

        blocked = sum(row["blocked"] for row in found.values())
        return QueueDepth(of(Priority.HIGH), of(Priority.NORMAL), of(Priority.LOW), blocked)


def _in_line(claimed: Sequence[asyncpg.Record]) -> list[asyncpg.Record]:
    """The order in which they were picked: RETURNING keeps none."""
    by_id = {row["run_id"]: row for row in claimed}
    line = (fairness.Waiting(row["run_id"], row["level"], row["turn"], row["rank"]) for row in claimed)
    return [by_id[run.run_id] for run in fairness.in_line(line)]


def _is_limited(limits: QueueLimits) -> bool:
    """Whether the runs of who asks are counted."""
    return limits.user is not None and who() is not None


async def _take_place(connection: asyncpg.Connection, priority: Priority, limits: QueueLimits) -> None:
    """Raises `UserLimit`, or holds the user's lock until the transaction ends, so that the count stays
    true."""
    assert limits.user is not None
    user = clean(who())
    await connection.execute(statements.LOCK_USER, user)
    if await connection.fetchval(statements.COUNT_UNFINISHED_OF, user) >= limits.user:
        raise UserLimit(priority, limits.user, law.retry_after_seconds(limits.user))


async def _take_room(connection: asyncpg.Connection, priority: Priority, limits: QueueLimits) -> None:
    """Raises `QueueFull`, or holds the queue's lock until the transaction ends, so that the count stays
    true."""
    limit = limits.of(priority)
    await connection.execute(statements.LOCK_PRIORITY, law.CODE[priority])
    if await connection.fetchval(statements.COUNT_WAITING, law.CODE[priority]) >= limit:
        raise QueueFull(priority, limit, law.retry_after_seconds(limit))


async def _apply_strategy(connection: asyncpg.Connection, news: list[Signal], new: NewRun) -> bool:
    """Carries the strategy out; whether the thread still has unfinished runs."""
    found = await connection.fetch(statements.UNFINISHED, new.thread_id)
    unfinished = [law.Unfinished(row["run_id"], row["running"]) for row in found]
    step = law.strategy(new.multitask_strategy, new.thread_id, unfinished)
    if step is None:
        return bool(unfinished)
    action: CancelAction = "rollback" if new.multitask_strategy == "rollback" else "interrupt"
    await _carry_out(connection, news, step, action)
    return bool(step.ask)


async def _carry_out(
    connection: asyncpg.Connection, news: list[Signal], step: law.Cancellation, action: CancelAction
) -> None:
    told = [*step.end, *step.delete, *step.ask]
    if told:
        await connection.execute(NOTE_CANCELLED, told, clean(who()), action)
    await _end(connection, [(run_id, None) for run_id in step.end], "interrupted")
    await _delete(connection, step.delete)
    if step.ask:
        await connection.execute(statements.ASK_TO_STOP, step.ask, action)
    news.extend(Signal("cancel", run_id) for run_id in step.ask)
    news.extend(Signal("finished", run_id) for run_id in (*step.end, *step.delete))


async def _meet(
    connection: asyncpg.Connection,
    news: list[Signal],
    held: Sequence[asyncpg.Record],
    fates: dict[str, law.Fate],
    reasons: dict[str, str],
    *,
    charge: bool,
) -> None:
    """Carries out the fates of runs whose attempt ended without an outcome."""
    met = {fate: [run_id for run_id in fates if fates[run_id] == fate] for fate in set(fates.values())}
    if "wait" in met:
        bonus = 0.0 if charge else law.HANDED_BACK_SECONDS
        await connection.execute(statements.WAIT_AGAIN, met["wait"], 0 if charge else 1, bonus)
    await _end(connection, [(run_id, reasons[run_id]) for run_id in met.get("fail", [])], "error")
    await _end(connection, [(run_id, None) for run_id in met.get("stop", [])], "interrupted")
    await _delete(connection, met.get("delete", []))
    await _drop_spent(connection, held)
    if held:
        news.append(Signal("queued", ""))
    news.extend(Signal("finished", run_id) for run_id, fate in fates.items() if fate != "wait")


async def _end(
    connection: asyncpg.Connection, ends: Sequence[tuple[str, str | None]], status: RunStatus
) -> None:
    if ends:
        ids, errors = [run_id for run_id, _ in ends], [error for _, error in ends]
        await connection.execute(
            statements.END_RUNS, ids, status, errors, "error" if status == "error" else None
        )


async def _delete(connection: asyncpg.Connection, run_ids: Sequence[str]) -> None:
    if run_ids:
        await connection.execute(statements.DELETE_RUNS, list(run_ids))


async def _drop_spent(connection: asyncpg.Connection, held: Iterable[asyncpg.Record]) -> None:
    """Stateless threads go when their last run ended."""
    threads = [row["thread_id"] for row in held if row["delete_thread_after"]]
    if threads:
        await connection.execute(statements.DROP_SPENT_THREADS, threads)


async def _named(
    connection: asyncpg.Connection, run_ids: Sequence[str], thread_id: str | None, scope: Scope | None
) -> list[asyncpg.Record]:
    rows_found = await connection.fetch(statements.RUNS_BY_ID, list(run_ids), documents(scope))
    found = {row["run_id"]: row for row in rows_found}
    for run_id in run_ids:
        if run_id not in found or thread_id not in (None, found[run_id]["thread_id"]):
            raise NotFound("run", run_id)
    return [found[run_id] for run_id in dict.fromkeys(run_ids)]


async def _afterwards(connection: asyncpg.Connection, held: Sequence[asyncpg.Record]) -> list[Run]:
    """Runs as they are now, a deleted one as it was."""
    ids = [row["run_id"] for row in held]
    now = {row["run_id"]: row for row in await connection.fetch(statements.RUNS_BY_ID, ids, None)}
    return [rows.run(now.get(row["run_id"], row)) for row in held]
