"""Runs of SQLite's queue that somebody wants ended or gone."""

from __future__ import annotations

from collections.abc import Sequence

from lgs_runtime.errors import Conflict
from lgs_runtime.model import FINAL, CancelAction, Run, Scope, Signal
from lgs_runtime.storage import transitions
from lgs_runtime.storage.sqlite import rows, statements
from lgs_runtime.storage.sqlite.audit import note
from lgs_runtime.storage.sqlite.change import Change
from lgs_runtime.storage.sqlite.completion import apply


def cancel(
    change: Change, thread_id: str | None, run_ids: Sequence[str], action: CancelAction, scope: Scope | None
) -> list[Run]:
    """Ends runs that wait, asks those that run to stop, and returns them as they are then. Raises `NotFound`,
    and has done nothing."""
    named = [change.named(run_id, thread_id, scope) for run_id in dict.fromkeys(run_ids)]
    unfinished = [rows.unfinished_of(row) for row in named if row["status"] not in FINAL]
    carry_out(change, transitions.cancellation(unfinished, action), action)
    left = dict.fromkeys(row["thread_id"] for row in named if row["status"] == "pending")
    change.notifications.extend(Signal("thread", thread) for thread in left)
    return change.afterwards(named)


def delete_finished(change: Change, thread_id: str, run_id: str, scope: Scope | None) -> None:
    """Deletes the record of a run. Raises `NotFound`, `Conflict`."""
    status = change.named(run_id, thread_id, scope)["status"]
    if status not in FINAL:
        raise Conflict(f"run {run_id} is {status}: only a finished run can be deleted; cancel it first")
    change.run(statements.DELETE_RUN, run_id=run_id)
    note(change.connection, thread_id, "run.deleted", {"run_id": run_id}, change.asker)


def carry_out(change: Change, step: transitions.Cancellation, action: CancelAction) -> None:
    """Does what `transitions` decided, and writes it down."""
    for run_id in (*step.end, *step.delete, *step.ask):
        row = change.named(run_id)
        if not row["delete_thread_after"]:
            told = {"run_id": run_id, "action": action}
            note(change.connection, row["thread_id"], "run.cancelled", told, change.asker)
    for run_id in step.end:
        apply(change, change.named(run_id), "stop", None, charge=True)
    for run_id in step.delete:
        apply(change, change.named(run_id), "delete", None, charge=True)
    for run_id in step.ask:
        change.run(statements.ASK_TO_STOP, run_id=run_id, action=action)
        change.notifications.append(Signal("cancel", run_id))
