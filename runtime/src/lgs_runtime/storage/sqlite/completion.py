"""Ends runs in SQLite's queue, with an outcome or without one, and updates their threads."""

from __future__ import annotations

import sqlite3

from lgs_runtime.database.json_columns import dump, dump_optional, escape, load
from lgs_runtime.errors import LeaseLost, RollbackAsked
from lgs_runtime.model import CancelAction, Finished, Json, Outcome, Run, RunStatus, Signal
from lgs_runtime.storage import transitions
from lgs_runtime.storage.histories import checkpoint_of
from lgs_runtime.storage.sqlite.audit import note
from lgs_runtime.storage.sqlite.change import Change
from lgs_runtime.storage.sqlite.statements.arrivals import THREAD_METADATA
from lgs_runtime.storage.sqlite.statements.completion import (
    DROP_ORPHANED_THREAD,
    END_RUN,
    KEEP_WEBHOOK,
    LEAVE_THREAD,
    MARK_RUN,
    MARK_THREAD,
)
from lgs_runtime.storage.sqlite.statements.queue import (
    ASK_TO_STOP,
    HELD,
    WAIT_AGAIN,
)
from lgs_runtime.storage.sqlite.statements.runs import (
    DELETE_RUN,
    EXPECT_ORPHANED,
)
from lgs_runtime.storage.sqlite.statements.versions import COUNT_VERSION
from lgs_runtime.storage.sqlite.versions import keep_version


def finish(change: Change, run: Run, replica: str, outcome: Outcome) -> Finished:
    """Ends an attempt with its outcome. Raises `LeaseLost`, `RollbackAsked`."""
    row = change.one(HELD, run_id=run.run_id, replica=replica, attempt=run.attempt)
    if row is None:
        raise LeaseLost(f"run {run.run_id}: attempt {run.attempt} is no longer held by replica {replica}")
    values, error = dump_optional(outcome.values), escape(outcome.error)
    answer = dump_optional(outcome.answer)
    interrupts = dump_optional(outcome.interrupts)
    taken_back = row["cancel_requested"] == "rollback"
    if taken_back and not outcome.undone:
        raise RollbackAsked(f"run {run.run_id}: is to be rolled back")
    if taken_back:
        change.run(DELETE_RUN, run_id=run.run_id)
    else:
        result = answer or (values if row["delete_thread_after"] else None)
        version = _keep_version(change, row, checkpoint_of(outcome), interrupts)
        _end(change, row, outcome.status, error, result=result, values=answer or values, version=version)
        if outcome.run_metadata:
            marked = dump({**load(row["metadata"]), **outcome.run_metadata})
            change.run(MARK_RUN, run_id=run.run_id, metadata=marked)
        _mark(change, row["thread_id"], outcome.thread_metadata)
    change.notifications.append(Signal("finished", run.run_id))
    waiting = _leave(change, row, outcome.thread_status, error, values=values, interrupts=interrupts)
    return Finished(not taken_back, waiting)


def _mark(change: Change, thread_id: str, names: Json) -> None:
    """Merges `names` (graph_id and assistant_id of the run that ended last) into the thread's metadata."""
    metadata = load(change.value(THREAD_METADATA, thread_id=thread_id))
    if not names.items() <= metadata.items():
        change.run(MARK_THREAD, thread_id=thread_id, metadata=dump({**metadata, **names}))


def apply(
    change: Change, row: sqlite3.Row, transition: transitions.Transition, reason: str | None, *, charge: bool
) -> None:
    """Carries out the transition of a run that ends without an outcome, or waits again."""
    run_id = row["run_id"]
    if transition in ("wait", "undo"):
        charged = charge and transition == "wait"
        refund, bonus = (0, 0.0) if charged else (1, transitions.HANDED_BACK_SECONDS)
        change.run(WAIT_AGAIN, run_id=run_id, refund=refund, bonus=bonus)
        change.notifications.append(Signal("queued", run_id))
        return
    if transition == "delete":
        change.run(DELETE_RUN, run_id=run_id)
    else:
        failed = transition == "fail"
        _end(change, row, "error" if failed else "interrupted", reason if failed else None)
    change.notifications.append(Signal("finished", run_id))
    _leave(change, row, "error" if transition == "fail" else None, reason)


def _end(
    change: Change,
    row: sqlite3.Row,
    status: RunStatus,
    error: str | None,
    *,
    result: str | None = None,
    values: str | None = None,
    version: int | None = None,
) -> None:
    run_id = row["run_id"]
    ending = {"status": status, "error": error, "result": result, "version": version}
    change.run(END_RUN, run_id=run_id, **ending)
    if row["webhook"] is not None:
        change.run(KEEP_WEBHOOK, run_id=run_id, url=row["webhook"], values=values)


def _keep_version(
    change: Change, row: sqlite3.Row, checkpoint_id: str | None, interrupts: str | None
) -> int | None:
    """Stores the version that the end of this run makes, and returns its number; None: it makes none."""
    if checkpoint_id is None or row["delete_thread_after"]:
        return None
    counted = change.one(COUNT_VERSION, thread_id=row["thread_id"])
    if counted is None:
        return None
    version = {
        "thread_id": row["thread_id"],
        "version": counted["versions"],
        "checkpoint_id": checkpoint_id,
        "run_id": row["run_id"],
        "interrupts": interrupts or "{}",
        "created_by": row["created_by"],
        "now": change.now,
    }
    return int(keep_version(change.connection, change.options, version)["version"])


def _leave(
    change: Change,
    row: sqlite3.Row,
    rest: str | None,
    error: str | None,
    *,
    values: str | None = None,
    interrupts: str | None = None,
) -> int:
    """Takes the run off its thread; returns how many unfinished runs the thread still has. `rest` None: the
    thread becomes what it was."""
    thread_id = row["thread_id"]
    left = change.one(
        LEAVE_THREAD,
        thread_id=thread_id,
        rest=rest,
        error=error,
        values=values,
        interrupts=interrupts,
        pin=row["pin"],
    )
    waiting = int(left["unfinished"]) if left is not None else 0
    if waiting:
        change.notifications.append(Signal("queued", ""))
    orphaned = row["delete_thread_after"] and thread_id != change.kept
    if orphaned and change.one(DROP_ORPHANED_THREAD, thread_id=thread_id):
        change.run(EXPECT_ORPHANED, thread_id=thread_id)
    return waiting


def carry_out(change: Change, step: transitions.Cancellation, action: CancelAction) -> None:
    """Does what `transitions` decided about a cancellation, and notes it in the audit trail."""
    for run_id in (*step.end, *step.delete, *step.ask):
        row = change.named(run_id)
        if not row["delete_thread_after"]:
            details = {"run_id": run_id, "action": action}
            note(change.connection, row["thread_id"], "run.cancelled", details, change.asker)
    for run_id in step.end:
        apply(change, change.named(run_id), "stop", None, charge=True)
    for run_id in step.delete:
        apply(change, change.named(run_id), "delete", None, charge=True)
    for run_id in step.ask:
        change.run(ASK_TO_STOP, run_id=run_id, action=action)
        change.notifications.append(Signal("cancel", run_id))
