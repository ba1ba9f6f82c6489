"""Carries out what `transitions` decides about runs to be ended, or whose attempt ended without an outcome.
It works in the transaction of a change whose threads are locked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.database.json_columns import escape
from lgs_runtime.errors import NotFound
from lgs_runtime.model import CancelAction, Run, RunStatus, Scope, Signal
from lgs_runtime.storage import transitions
from lgs_runtime.storage.actor import who
from lgs_runtime.storage.postgres import rows
from lgs_runtime.storage.postgres.statements.audit import NOTE_CANCELLED
from lgs_runtime.storage.postgres.statements.queue import (
    ASK_TO_STOP,
    DELETE_RUNS,
    DROP_ORPHANED_THREADS,
    END_RUNS,
    RUNS_BY_ID,
    WAIT_AGAIN,
)
from lgs_runtime.storage.scope import documents


@dataclass(frozen=True, slots=True)
class Change:
    """One transaction on the queue, and the signals it makes, which are sent after the commit."""

    connection: asyncpg.Connection
    notifications: list[Signal] = field(default_factory=list)


async def carry_out(change: Change, step: transitions.Cancellation, action: CancelAction) -> None:
    """Does what `transitions` decided about a cancellation, and notes it in the audit trail."""
    connection, notifications = change.connection, change.notifications
    cancelled = [*step.end, *step.delete, *step.ask]
    if cancelled:
        await connection.execute(NOTE_CANCELLED, cancelled, escape(who()), action)
    await _end(connection, [(run_id, None) for run_id in step.end], "interrupted")
    await _delete(connection, step.delete)
    if step.ask:
        await connection.execute(ASK_TO_STOP, step.ask, action)
    notifications.extend(Signal("cancel", run_id) for run_id in step.ask)
    notifications.extend(Signal("finished", run_id) for run_id in (*step.end, *step.delete))


async def apply(
    change: Change,
    held: Sequence[asyncpg.Record],
    decided: dict[str, transitions.Transition],
    reasons: dict[str, str],
    *,
    charge: bool,
) -> None:
    """Carries out what was decided about runs whose attempt ended without an outcome."""
    connection, notifications = change.connection, change.notifications
    by_transition = {
        transition: [run_id for run_id in decided if decided[run_id] == transition]
        for transition in set(decided.values())
    }
    if "wait" in by_transition:
        bonus = 0.0 if charge else transitions.HANDED_BACK_SECONDS
        await connection.execute(WAIT_AGAIN, by_transition["wait"], 0 if charge else 1, bonus)
    if "undo" in by_transition:
        await connection.execute(WAIT_AGAIN, by_transition["undo"], 1, transitions.HANDED_BACK_SECONDS)
    await _end(connection, [(run_id, reasons[run_id]) for run_id in by_transition.get("fail", [])], "error")
    await _end(connection, [(run_id, None) for run_id in by_transition.get("stop", [])], "interrupted")
    await _delete(connection, by_transition.get("delete", []))
    await drop_orphaned(change, held)
    if held:
        notifications.append(Signal("queued", ""))
    notifications.extend(
        Signal("finished", run_id)
        for run_id, transition in decided.items()
        if transition not in ("wait", "undo")
    )


async def _end(
    connection: asyncpg.Connection, ends: Sequence[tuple[str, str | None]], status: RunStatus
) -> None:
    if ends:
        ids, errors = [run_id for run_id, _ in ends], [error for _, error in ends]
        await connection.execute(END_RUNS, ids, status, errors, "error" if status == "error" else None)


async def _delete(connection: asyncpg.Connection, run_ids: Sequence[str]) -> None:
    if run_ids:
        await connection.execute(DELETE_RUNS, list(run_ids))


async def drop_orphaned(change: Change, held: Iterable[asyncpg.Record]) -> None:
    """Deletes the threads of stateless runs whose last run has ended."""
    threads = [row["thread_id"] for row in held if row["delete_thread_after"]]
    if threads:
        await change.connection.execute(DROP_ORPHANED_THREADS, threads)


async def named(
    change: Change, run_ids: Sequence[str], thread_id: str | None, scope: Scope | None
) -> list[asyncpg.Record]:
    """Runs by their ids, in that order. Raises `NotFound` when one is missing."""
    rows_found = await change.connection.fetch(RUNS_BY_ID, list(run_ids), documents(scope))
    found = {row["run_id"]: row for row in rows_found}
    for run_id in run_ids:
        if run_id not in found or thread_id not in (None, found[run_id]["thread_id"]):
            raise NotFound("run", run_id)
    return [found[run_id] for run_id in dict.fromkeys(run_ids)]


async def afterwards(change: Change, held: Sequence[asyncpg.Record]) -> list[Run]:
    """The runs as they are now; a deleted one as it was."""
    ids = [row["run_id"] for row in held]
    now = {row["run_id"]: row for row in await change.connection.fetch(RUNS_BY_ID, ids, None)}
    return [rows.run(now.get(row["run_id"], row)) for row in held]
