"""What becomes of runs that somebody wants ended, or whose attempt ended without an outcome: `law` decides,
this carries it out, in the transaction of a change whose threads are locked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.errors import NotFound
from lgs_runtime.model import CancelAction, Run, RunStatus, Scope, Signal
from lgs_runtime.storage import law
from lgs_runtime.storage.actor import who
from lgs_runtime.storage.encoding import escape
from lgs_runtime.storage.postgres import rows, statements
from lgs_runtime.storage.postgres.audit import NOTE_CANCELLED
from lgs_runtime.storage.postgres.change import Change
from lgs_runtime.storage.scope import documents


async def carry_out(change: Change, step: law.Cancellation, action: CancelAction) -> None:
    """Does what `law` decided, and writes it down."""
    connection, news = change.connection, change.news
    told = [*step.end, *step.delete, *step.ask]
    if told:
        await connection.execute(NOTE_CANCELLED, told, escape(who()), action)
    await _end(connection, [(run_id, None) for run_id in step.end], "interrupted")
    await _delete(connection, step.delete)
    if step.ask:
        await connection.execute(statements.ASK_TO_STOP, step.ask, action)
    news.extend(Signal("cancel", run_id) for run_id in step.ask)
    news.extend(Signal("finished", run_id) for run_id in (*step.end, *step.delete))


async def meet(
    change: Change,
    held: Sequence[asyncpg.Record],
    fates: dict[str, law.Fate],
    reasons: dict[str, str],
    *,
    charge: bool,
) -> None:
    """Carries out the fates of runs whose attempt ended without an outcome."""
    connection, news = change.connection, change.news
    met = {fate: [run_id for run_id in fates if fates[run_id] == fate] for fate in set(fates.values())}
    if "wait" in met:
        bonus = 0.0 if charge else law.HANDED_BACK_SECONDS
        await connection.execute(statements.WAIT_AGAIN, met["wait"], 0 if charge else 1, bonus)
    await _end(connection, [(run_id, reasons[run_id]) for run_id in met.get("fail", [])], "error")
    await _end(connection, [(run_id, None) for run_id in met.get("stop", [])], "interrupted")
    await _delete(connection, met.get("delete", []))
    await drop_spent(change, held)
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


async def drop_spent(change: Change, held: Iterable[asyncpg.Record]) -> None:
    """Stateless threads go when their last run ended."""
    threads = [row["thread_id"] for row in held if row["delete_thread_after"]]
    if threads:
        await change.connection.execute(statements.DROP_SPENT_THREADS, threads)


async def named(
    change: Change, run_ids: Sequence[str], thread_id: str | None, scope: Scope | None
) -> list[asyncpg.Record]:
    """Runs by their ids, in that order. Raises `NotFound` when one is missing."""
    rows_found = await change.connection.fetch(statements.RUNS_BY_ID, list(run_ids), documents(scope))
    found = {row["run_id"]: row for row in rows_found}
    for run_id in run_ids:
        if run_id not in found or thread_id not in (None, found[run_id]["thread_id"]):
            raise NotFound("run", run_id)
    return [found[run_id] for run_id in dict.fromkeys(run_ids)]


async def afterwards(change: Change, held: Sequence[asyncpg.Record]) -> list[Run]:
    """Runs as they are now, a deleted one as it was."""
    ids = [row["run_id"] for row in held]
    now = {row["run_id"]: row for row in await change.connection.fetch(statements.RUNS_BY_ID, ids, None)}
    return [rows.run(now.get(row["run_id"], row)) for row in held]
