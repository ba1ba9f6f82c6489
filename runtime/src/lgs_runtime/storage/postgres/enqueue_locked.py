"""Stores runs under the lock of their thread: when the one statement for all that arrive could not store
them, or when several must be stored together or not at all.

Each is stored in a transaction that locks its thread first, then the count of the waiting runs; `transitions`
decides what its multitask strategy means.
"""

from __future__ import annotations

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.database.columns import columns
from lgs_runtime.database.json_columns import dump, escape
from lgs_runtime.errors import NotFound, QueueFull, UserLimit
from lgs_runtime.model import CancelAction, NewRun, Priority, QueueLimits
from lgs_runtime.storage import fairness, transitions
from lgs_runtime.storage.actor import who
from lgs_runtime.storage.lifetime import columns as lifetime_columns
from lgs_runtime.storage.postgres import arrivals, rows
from lgs_runtime.storage.postgres.apply_transitions import Change, carry_out
from lgs_runtime.storage.postgres.statements.arrivals import (
    ASSISTANT_AS_OF,
    COUNT_UNFINISHED_OF,
    COUNT_WAITING,
    CREATE_THREAD_FOR_RUN,
    ENQUEUE,
    INSERT_RUN,
    LOCK_PRIORITY,
    LOCK_USER,
    MAY_CLAIM,
    THREAD_WITHIN,
    TO_BE_STOPPED,
    UNFINISHED,
)
from lgs_runtime.storage.postgres.statements.queue import LOCK_THREADS
from lgs_runtime.storage.postgres.statements.runs import RUN
from lgs_runtime.storage.scope import documents


def is_limited(limits: QueueLimits) -> bool:
    """Whether the unfinished runs of the asking user are limited."""
    return limits.user is not None and who() is not None


async def next_of_many(change: Change, new: NewRun, limits: QueueLimits) -> asyncpg.Record:
    """Stores one of many runs in a transaction, in one statement if possible. Raises like
    `enqueue_locked`."""
    connection = change.connection
    room = limits.of(new.priority) - transitions.NEAR_LIMIT
    row = await connection.fetchrow(RUN, new.run_id, None, None)
    if row is None and not is_limited(limits):
        values = columns([arrivals.row(new, None, room)])
        row = await connection.fetchrow(ENQUEUE, *values)
    return row or await enqueue_locked(change, new, limits, None)


async def enqueue_locked(
    change: Change, new: NewRun, limits: QueueLimits, claim_for: str | None
) -> asyncpg.Record:
    """The row of a run, stored in the transaction of `change`. Raises like the contract's `enqueue`."""
    connection = change.connection
    transitions.check_assistant(new, await connection.fetchval(ASSISTANT_AS_OF, new.assistant_id))
    if new.create_thread:
        metadata = dump({**new.created_metadata, **new.thread_metadata})
        made = (new.thread_id, metadata, escape(who()), *lifetime_columns(new.thread_ttl))
        await connection.execute(CREATE_THREAD_FOR_RUN, *made)
    locked = await connection.fetch(LOCK_THREADS, [new.thread_id])
    stored = await connection.fetchrow(RUN, new.run_id, None, None)
    if stored is not None:
        return stored
    within = (new.thread_id, documents(new.scope))
    if not locked or not await connection.fetchval(THREAD_WITHIN, *within):
        raise NotFound("thread", new.thread_id)
    busy = await _apply_strategy(change, new)
    if is_limited(limits):
        await _take_place(connection, new.priority, limits)
    claimed = False
    if claim_for is not None and not busy and new.delay_seconds <= 0:
        offset = fairness.rank_offset(fairness.level_of(new))
        claimed = await connection.fetchval(MAY_CLAIM, claim_for, offset, new.graph_id, new.thread_id)
    if not claimed:
        await _take_room(connection, new.priority, limits)
    values = columns([arrivals.row(new, claim_for if claimed else None, 0)])
    row = await connection.fetchrow(INSERT_RUN, *values)
    assert row is not None, "the thread is locked, so it is there"
    return row


async def _take_place(connection: asyncpg.Connection, priority: Priority, limits: QueueLimits) -> None:
    """Holds the user's lock until the transaction ends, so that the count stays true. Raises `UserLimit`."""
    assert limits.user is not None
    user = escape(who())
    await connection.execute(LOCK_USER, user)
    if await connection.fetchval(COUNT_UNFINISHED_OF, user) >= limits.user:
        raise UserLimit(priority, limits.user, transitions.retry_after_seconds(limits.user))


async def _take_room(connection: asyncpg.Connection, priority: Priority, limits: QueueLimits) -> None:
    """Holds the queue's lock until the transaction ends, so that the count stays true. Raises `QueueFull`."""
    limit = limits.of(priority)
    await connection.execute(LOCK_PRIORITY, transitions.CODE[priority])
    if await connection.fetchval(COUNT_WAITING, transitions.CODE[priority]) >= limit:
        raise QueueFull(priority, limit, transitions.retry_after_seconds(limit))


async def _apply_strategy(change: Change, new: NewRun) -> bool:
    """Carries out the strategy. Returns whether the thread still has unfinished runs."""
    stops = new.multitask_strategy in ("interrupt", "rollback")
    statement = TO_BE_STOPPED if stops else UNFINISHED
    found = await change.connection.fetch(statement, new.thread_id)
    unfinished = [rows.unfinished_of(row) for row in found]
    step = transitions.strategy(new.multitask_strategy, new.thread_id, unfinished)
    if step is None:
        return bool(unfinished)
    action: CancelAction = "rollback" if new.multitask_strategy == "rollback" else "interrupt"
    await carry_out(change, step, action)
    return bool(step.ask)
