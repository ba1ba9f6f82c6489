"""The queue of runs in SQLite. Each method is one write, which has the file to itself, or one read."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from lgs_runtime.errors import Conflict, LeaseLost, NotFound, QueueFull, UserLimit
from lgs_runtime.model import (
    FINAL,
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
from lgs_runtime.storage.encoding import clean, dump, dump_optional, dump_searchable, load
from lgs_runtime.storage.histories import checkpoint_of
from lgs_runtime.storage.lifetime import columns
from lgs_runtime.storage.scope import covers, document_list
from lgs_runtime.storage.sqlite import rows, statements
from lgs_runtime.storage.sqlite.audit import note
from lgs_runtime.storage.sqlite.database import Database
from lgs_runtime.storage.sqlite.signals import Sender
from lgs_runtime.storage.sqlite.versions import COUNT_VERSION, keep_version

_Result = TypeVar("_Result")


class SqliteQueue:
    """The `Queue` of the contract."""

    def __init__(self, database: Database, sender: Sender, versions_limit: int) -> None:
        self._database = database
        self._sender = sender
        self._versions_limit = versions_limit

    async def _change(self, work: Callable[[_Change], _Result]) -> _Result:
        """Runs `work` in a transaction and sends the news it makes when that is committed."""
        news: list[Signal] = []
        asker, limit = who(), self._versions_limit
        result = await self._database.write(lambda c: work(_Change(c, news, asker, limit)))
        self._sender.send(*news)
        return result

    async def enqueue(self, new: NewRun, limits: QueueLimits, claim_for: str | None = None) -> Enqueued:
        """See the contract."""
        row = await self._change(lambda change: change.enqueue(new, limits, claim_for))
        return Enqueued(rows.run(row), row["status"] == "running" and row["claimed_by"] == claim_for)

    async def enqueue_all(self, new: Sequence[NewRun], limits: QueueLimits) -> Sequence[Run]:
        """See the contract."""
        stored = await self._change(lambda change: [change.enqueue(one, limits, None) for one in new])
        return [rows.run(row) for row in stored]

    async def claim(self, replica: str, slots: int) -> Sequence[Run]:
        """See the contract. Looks before it takes the write lock, so that idle replicas don't disturb."""
        if slots < 1 or not await self._database.read(_anything_claimable):
            return []
        found = await self._change(lambda change: change.claim(replica, slots))
        return [rows.run(row) for row in sorted(found, key=lambda row: float(row["rank"]))]

    async def held(self, replica: str) -> Sequence[Run]:
        """See the contract."""
        by = {"replica": replica}
        found = await self._database.read(lambda c: c.execute(statements.HELD_BY, by).fetchall())
        return [rows.run(row) for row in found]

    async def finish(self, run: Run, replica: str, outcome: Outcome) -> Finished:
        """See the contract."""
        return await self._change(lambda change: change.finish(run, replica, outcome))

    async def release(self, replica: str, runs: Sequence[Run]) -> None:
        """See the contract."""
        if runs:
            await self._change(lambda change: change.release(replica, runs))

    async def reap(self, max_attempts: int) -> Sequence[Run]:
        """See the contract. One read when nobody was lost."""
        if not await self._database.read(_lost):
            return []
        return await self._change(lambda change: change.reap(max_attempts))

    async def cancel(
        self,
        thread_id: str | None,
        run_ids: Sequence[str],
        action: CancelAction,
        scope: Scope | None = None,
    ) -> Sequence[Run]:
        """See the contract."""
        if not run_ids:
            return []
        return await self._change(lambda change: change.cancel(thread_id, run_ids, action, scope))

    async def unfinished(
        self,
        statuses: Sequence[RunStatus],
        not_asked: CancelAction,
        before: datetime,
        scope: Scope | None = None,
    ) -> Sequence[str]:
        """See the contract."""
        wanted = {
            "statuses": dump(list(statuses)),
            "not_asked": not_asked,
            "before": before.timestamp(),
            "scope": document_list(scope),
        }
        found = await self._database.read(lambda c: c.execute(statements.UNFINISHED_RUNS, wanted).fetchall())
        return [row["run_id"] for row in found]

    async def run(self, run_id: str, thread_id: str | None = None, scope: Scope | None = None) -> Run:
        """See the contract."""
        wanted = {"run_id": run_id, "thread_id": thread_id, "scope": document_list(scope)}
        row = await self._database.read(lambda c: c.execute(statements.RUN, wanted).fetchone())
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
        wanted = {
            "thread_id": thread_id,
            "status": status,
            "metadata": dump_optional(metadata),
            "scope": document_list(scope),
            "limit": page.limit,
            "offset": page.offset,
        }
        found = await self._database.read(lambda c: c.execute(statements.RUNS, wanted).fetchall())
        return [rows.run(row) for row in found]

    async def runs_of(
        self, user: str, page: Page, status: RunStatus | None = None, scope: Scope | None = None
    ) -> Sequence[Run]:
        """See the contract."""
        wanted = {
            "user": clean(user),
            "status": status,
            "scope": document_list(scope),
            "limit": page.limit,
            "offset": page.offset,
        }
        found = await self._database.read(lambda c: c.execute(statements.RUNS_OF, wanted).fetchall())
        return [rows.run(row) for row in found]

    async def delete_run(self, thread_id: str, run_id: str, scope: Scope | None = None) -> None:
        """See the contract."""
        await self._change(lambda change: change.delete_finished(thread_id, run_id, scope))

    async def expire_runs(self, older_than_hours: float) -> int:
        """See the contract."""
        before = {"before": time.time() - older_than_hours * 3600}
        return await self._database.write(lambda c: c.execute(statements.EXPIRE_RUNS, before).rowcount)

    async def claim_webhooks(
        self, limit: int, retry_seconds: float, longest_seconds: float
    ) -> Sequence[Webhook]:
        """See the contract. One read when none is due."""
        if not await self._database.read(_any_webhook):
            return []
        due = await self._change(lambda change: change.claim_webhooks(limit, retry_seconds, longest_seconds))
        return [rows.webhook(row) for row in due]

    async def drop_webhook(self, run_id: str) -> None:
        """See the contract."""
        named = {"run_id": run_id}
        await self._database.write(lambda c: c.execute(statements.DROP_WEBHOOK, named).rowcount)

    async def spent_threads(self, older_than_seconds: float) -> Sequence[str]:
        """See the contract."""
        before = {"before": time.time() - older_than_seconds}
        found = await self._database.read(lambda c: c.execute(statements.SPENT_THREADS, before).fetchall())
        return [row["thread_id"] for row in found]

    async def forget_spent(self, thread_ids: Sequence[str]) -> None:
        """See the contract."""
        named = {"thread_ids": dump(list(thread_ids))}
        await self._database.write(lambda c: c.execute(statements.FORGET_SPENT, named).rowcount)

    async def depth(self) -> QueueDepth:
        """See the contract. One statement over the waiting runs."""
        now = {"now": time.time()}
        counted = await self._database.read(lambda c: c.execute(statements.DEPTH, now).fetchall())
        found = {row["priority"]: row for row in counted}

        def of(priority: Priority) -> PriorityDepth:
            row = found.get(law.CODE[priority])
            return PriorityDepth(row["waiting"], row["oldest"]) if row else PriorityDepth(0, 0.0)

        blocked = sum(row["blocked"] for row in found.values())
        return QueueDepth(of(Priority.HIGH), of(Priority.NORMAL), of(Priority.LOW), blocked)


class _Change:
    """One transaction on the queue: the steps, on a connection that has the file to itself, and the news they
    make."""

    def __init__(
        self, connection: sqlite3.Connection, news: list[Signal], asker: str | None, versions_limit: int
    ) -> None:
        self._connection = connection
        self._news = news
        self._asker = clean(asker)
        self._versions_limit = versions_limit
        self._now = time.time()
        self._kept: str | None = None
        """The thread that is to get a run, and stays although the last of its others may end for it."""

    def enqueue(self, new: NewRun, limits: QueueLimits, claim_for: str | None) -> sqlite3.Row:
        stored = self._one(statements.RUN, run_id=new.run_id, thread_id=None, scope=None)
        if stored is not None:
            return stored
        assistant = self._one(statements.ASSISTANT, assistant_id=new.assistant_id)
        law.check_assistant(new, rows.time(assistant["updated_at"]) if assistant else None)
        thread = self._one(statements.THREAD_EXISTS, thread_id=new.thread_id)
        if thread is None and new.create_thread:
            seconds, strategy = columns(new.thread_ttl)
            self._run(
                statements.CREATE_THREAD_FOR_RUN,
                thread_id=new.thread_id,
                metadata=dump_searchable(new.created_metadata),
                created_by=self._asker,
                ttl_seconds=seconds,
                ttl_strategy=strategy,
            )
        elif thread is None or (new.scope and not covers(new.scope, load(thread["metadata"]))):
            raise NotFound("thread", new.thread_id)
        self._kept = new.thread_id
        busy = self._apply_strategy(new)
        self._take_place(new.priority, limits.user)
        claimed = claim_for is not None and not busy and self._may_claim(new, claim_for)
        if not claimed:
            self._take_room(new.priority, limits.of(new.priority))
            self._news.append(Signal("queued", new.run_id))
        return self._insert(new, claim_for if claimed else None)

    def _apply_strategy(self, new: NewRun) -> bool:
        """Carries the strategy out; whether the thread still has unfinished runs."""
        found = self._all(statements.UNFINISHED, thread_id=new.thread_id)
        unfinished = [law.Unfinished(row["run_id"], bool(row["running"])) for row in found]
        step = law.strategy(new.multitask_strategy, new.thread_id, unfinished)
        if step is None:
            return bool(unfinished)
        self._carry_out(step, "rollback" if new.multitask_strategy == "rollback" else "interrupt")
        return bool(step.ask)

    def _may_claim(self, new: NewRun, replica: str) -> bool:
        rank = self._now + fairness.rank_offset(fairness.level_of(new))
        return (
            new.delay_seconds <= 0
            and self._one(statements.ALIVE, replica=replica) is not None
            and self._one(statements.SOMEBODY_AHEAD, rank=rank) is None
        )

    def _take_place(self, priority: Priority, limit: int | None) -> None:
        if limit is None or self._asker is None:
            return
        if self._value(statements.COUNT_UNFINISHED_OF, user=self._asker) >= limit:
            raise UserLimit(priority, limit, law.retry_after_seconds(limit))

    def _take_room(self, priority: Priority, limit: int) -> None:
        if self._value(statements.COUNT_WAITING, priority=law.CODE[priority]) >= limit:
            raise QueueFull(priority, limit, law.retry_after_seconds(limit))

    def _insert(self, new: NewRun, claimed_by: str | None) -> sqlite3.Row:
        metadata = load(self._value(statements.THREAD_METADATA, thread_id=new.thread_id))
        merged = dump_searchable({**metadata, **new.thread_metadata})
        kept = {
            "level": new.standing.level if new.standing else None,
            "group": clean(new.standing.group) if new.standing else None,
        }
        seq = self._value(statements.COUNT_RUN, thread_id=new.thread_id, metadata=merged, **kept)
        level, group = fairness.level_of(new), clean(new.group)
        turns = self._all(statements.TURNS, level=level, group=group)[0]
        due_at = self._now + new.delay_seconds
        row = self._one(
            statements.INSERT_RUN,
            run_id=new.run_id,
            thread_id=new.thread_id,
            seq=seq,
            assistant_id=new.assistant_id,
            status="pending" if claimed_by is None else "running",
            priority=law.CODE[new.priority],
            rank=due_at + fairness.rank_offset(level),
            metadata=dump_searchable(new.metadata),
            kwargs=dump(new.kwargs),
            multitask_strategy=new.multitask_strategy,
            delete_thread_after=new.delete_thread_after,
            attempt=0 if claimed_by is None else 1,
            claimed_by=claimed_by,
            claimed_at=None if claimed_by is None else self._now,
            due_at=due_at,
            webhook=new.webhook,
            created_by=self._asker,
            thread_metadata=merged if new.delete_thread_after else None,
            level=level,
            fairness_group=group,
            turn=fairness.next_turn(*turns),
        )
        assert row is not None, "an INSERT that returns nothing raises"
        return row

    def claim(self, replica: str, slots: int) -> list[sqlite3.Row]:
        if self._one(statements.ALIVE, replica=replica) is None:
            return []
        first = [fairness.Waiting(*row) for row in self._all(statements.FIRST_OF_LEVELS, slots=slots)]
        run_ids = [run.run_id for run in fairness.in_line(first)[:slots]]
        return self._all(statements.CLAIM, replica=replica, run_ids=dump(run_ids))

    def finish(self, run: Run, replica: str, outcome: Outcome) -> Finished:
        row = self._one(statements.HELD, run_id=run.run_id, replica=replica, attempt=run.attempt)
        if row is None:
            raise LeaseLost(f"run {run.run_id}: attempt {run.attempt} is no longer held by replica {replica}")
        values, error = dump_optional(outcome.values), clean(outcome.error)
        interrupts = dump_optional(outcome.interrupts)
        taken_back = row["cancel_requested"] == "rollback"
        if taken_back:
            self._run(statements.DELETE_RUN, run_id=run.run_id)
        else:
            result = values if row["delete_thread_after"] else None
            version = self._keep_version(row, checkpoint_of(outcome), interrupts)
            self._end(row, outcome.status, error, result, values, version=version)
        self._news.append(Signal("finished", run.run_id))
        waiting = self._leave(row, outcome.thread_status, error, values, interrupts)
        return Finished(not taken_back, waiting)

    def release(self, replica: str, runs: Sequence[Run]) -> None:
        for run in runs:
            row = self._one(statements.HELD, run_id=run.run_id, replica=replica, attempt=run.attempt)
            if row is not None:
                self._meet(row, law.handed_back(row["cancel_requested"]), None, charge=False)

    def reap(self, max_attempts: int) -> list[Run]:
        lost = self._all(statements.LOST)
        self._run(statements.BURY_REPLICAS)
        for row in lost:
            fate = law.lost(row["attempt"], row["cancel_requested"], max_attempts)
            self._meet(row, fate, law.lost_reason(row["attempt"], max_attempts), charge=True)
        return self._afterwards(lost)

    def cancel(
        self, thread_id: str | None, run_ids: Sequence[str], action: CancelAction, scope: Scope | None
    ) -> list[Run]:
        named = [self._named(run_id, thread_id, scope) for run_id in dict.fromkeys(run_ids)]
        unfinished = [
            law.Unfinished(row["run_id"], row["status"] == "running")
            for row in named
            if row["status"] not in FINAL
        ]
        self._carry_out(law.cancellation(unfinished, action), action)
        return self._afterwards(named)

    def claim_webhooks(self, limit: int, retry: float, longest: float) -> list[sqlite3.Row]:
        due = self._all(statements.DUE_WEBHOOKS, limit=limit)
        for row in due:
            self._run(statements.CHARGE_WEBHOOK, run_id=row["run_id"], retry=retry, longest=longest)
        return due

    def delete_finished(self, thread_id: str, run_id: str, scope: Scope | None) -> None:
        status = self._named(run_id, thread_id, scope)["status"]
        if status not in FINAL:
            raise Conflict(f"run {run_id} is {status}: only a finished run can be deleted; cancel it first")
        self._run(statements.DELETE_RUN, run_id=run_id)
        note(self._connection, thread_id, "run.deleted", {"run_id": run_id}, self._asker)

    def _carry_out(self, step: law.Cancellation, action: CancelAction) -> None:
        for run_id in (*step.end, *step.delete, *step.ask):
            row = self._named(run_id, None, None)
            if not row["delete_thread_after"]:
                told = {"run_id": run_id, "action": action}
                note(self._connection, row["thread_id"], "run.cancelled", told, self._asker)
        for run_id in step.end:
            self._meet(self._named(run_id, None, None), "stop", None, charge=True)
        for run_id in step.delete:
            self._meet(self._named(run_id, None, None), "delete", None, charge=True)
        for run_id in step.ask:
            self._run(statements.ASK_TO_STOP, run_id=run_id, action=action)
            self._news.append(Signal("cancel", run_id))

    def _meet(self, row: sqlite3.Row, fate: law.Fate, reason: str | None, *, charge: bool) -> None:
        """Carries out the fate of a run that ends without an outcome, or waits again."""
        run_id = row["run_id"]
        if fate == "wait":
            refund, bonus = (0, 0.0) if charge else (1, law.HANDED_BACK_SECONDS)
            self._run(statements.WAIT_AGAIN, run_id=run_id, refund=refund, bonus=bonus)
            self._news.append(Signal("queued", run_id))
            return
        if fate == "delete":
            self._run(statements.DELETE_RUN, run_id=run_id)
        else:
            failed = fate == "fail"
            self._end(row, "error" if failed else "interrupted", reason if failed else None)
        self._news.append(Signal("finished", run_id))
        self._leave(row, "error" if fate == "fail" else None, reason)

    def _end(
        self,
        row: sqlite3.Row,
        status: RunStatus,
        error: str | None,
        result: str | None = None,
        values: str | None = None,
        *,
        version: int | None = None,
    ) -> None:
        run_id = row["run_id"]
        ending = {"status": status, "error": error, "result": result, "version": version}
        self._run(statements.END_RUN, run_id=run_id, **ending)
        if row["webhook"] is not None:
            told = {"url": row["webhook"], "values": values, "thread_id": row["thread_id"]}
            self._run(statements.KEEP_WEBHOOK, run_id=run_id, **told)

    def _keep_version(
        self, row: sqlite3.Row, checkpoint_id: str | None, interrupts: str | None
    ) -> int | None:
        """The number of the version that the end of this run makes, if it makes one."""
        if checkpoint_id is None or row["delete_thread_after"]:
            return None
        counted = self._one(COUNT_VERSION, thread_id=row["thread_id"])
        if counted is None:
            return None
        version = {
            "thread_id": row["thread_id"],
            "version": counted["versions"],
            "checkpoint_id": checkpoint_id,
            "run_id": row["run_id"],
            "interrupts": interrupts or "{}",
            "created_by": row["created_by"],
            "now": self._now,
        }
        return int(keep_version(self._connection, self._versions_limit, version)["version"])

    def _leave(
        self,
        row: sqlite3.Row,
        rest: str | None,
        error: str | None,
        values: str | None = None,
        interrupts: str | None = None,
    ) -> int:
        """The run no longer stands on its thread; returns how many still do. `rest` None: the thread becomes
        what it was."""
        thread_id = row["thread_id"]
        left = self._one(
            statements.LEAVE_THREAD,
            thread_id=thread_id,
            rest=rest,
            error=error,
            values=values,
            interrupts=interrupts,
        )
        waiting = int(left["unfinished"]) if left is not None else 0
        if waiting:
            self._news.append(Signal("queued", ""))
        spent = row["delete_thread_after"] and thread_id != self._kept
        if spent and self._one(statements.DROP_SPENT_THREAD, thread_id=thread_id):
            self._run(statements.KEEP_SPENT, thread_id=thread_id)
        return waiting

    def _named(self, run_id: str, thread_id: str | None, scope: Scope | None) -> sqlite3.Row:
        row = self._one(statements.RUN, run_id=run_id, thread_id=thread_id, scope=document_list(scope))
        if row is None:
            raise NotFound("run", run_id)
        return row

    def _afterwards(self, before: Iterable[sqlite3.Row]) -> list[Run]:
        """Runs as they are now, a deleted one as it was."""
        now = [
            (row, self._one(statements.RUN, run_id=row["run_id"], thread_id=None, scope=None))
            for row in before
        ]
        return [rows.run(was if found is None else found) for was, found in now]

    def _run(self, statement: str, **values: Any) -> None:
        self._connection.execute(statement, {"now": self._now, **values})

    def _one(self, statement: str, **values: Any) -> sqlite3.Row | None:
        # All rows are fetched: a statement that is left half way would keep the transaction from ending.
        found = self._all(statement, **values)
        return found[0] if found else None

    def _all(self, statement: str, **values: Any) -> list[sqlite3.Row]:
        return self._connection.execute(statement, {"now": self._now, **values}).fetchall()

    def _value(self, statement: str, **values: Any) -> Any:
        row = self._one(statement, **values)
        return None if row is None else row[0]


def _anything_claimable(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute(statements.ANYTHING_CLAIMABLE, {"now": time.time()}).fetchall())


def _any_webhook(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute(statements.ANY_WEBHOOK, {"now": time.time()}).fetchall())


def _lost(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute(statements.LOST, {"now": time.time()}).fetchall())
