"""Stores new runs in SQLite's queue: checks whether a run may enter, and inserts its row."""

from __future__ import annotations

import sqlite3

from lgs_runtime.database.json_columns import dump, dump_optional, escape, load
from lgs_runtime.errors import NotFound, QueueFull, UserLimit
from lgs_runtime.model import NewRun, Priority, QueueLimits, Signal
from lgs_runtime.storage import fairness, transitions
from lgs_runtime.storage.lifetime import columns
from lgs_runtime.storage.scope import covers
from lgs_runtime.storage.sqlite import parts, rows
from lgs_runtime.storage.sqlite.change import Change
from lgs_runtime.storage.sqlite.completion import carry_out
from lgs_runtime.storage.sqlite.statements.arrivals import (
    ASSISTANT,
    COUNT_RUN,
    COUNT_UNFINISHED_OF,
    COUNT_WAITING,
    CREATE_THREAD_FOR_RUN,
    INSERT_RUN,
    PIN_OF_THREAD,
    SOMEBODY_AHEAD,
    THREAD_EXISTS,
    THREAD_METADATA,
    TURNS,
    UNFINISHED,
)
from lgs_runtime.storage.sqlite.statements.queue import ALIVE, FLEET, OF_REPLICA
from lgs_runtime.storage.sqlite.statements.runs import RUN


def enqueue(change: Change, new: NewRun, limits: QueueLimits, claim_for: str | None) -> sqlite3.Row:
    """Stores a run, as claimed if it may start at once, and returns its row; a run stored before is returned
    as it is. Raises what the contract says."""
    stored = change.one(RUN, run_id=new.run_id, thread_id=None, scope=None)
    if stored is not None:
        return stored
    assistant = change.one(ASSISTANT, assistant_id=new.assistant_id)
    transitions.check_assistant(new, rows.time(assistant["updated_at"]) if assistant else None)
    thread = change.one(THREAD_EXISTS, thread_id=new.thread_id)
    if thread is None and new.create_thread:
        seconds, strategy = columns(new.thread_ttl)
        change.run(
            CREATE_THREAD_FOR_RUN,
            thread_id=new.thread_id,
            metadata=dump(new.created_metadata),
            created_by=change.asker,
            ttl_seconds=seconds,
            ttl_strategy=strategy,
        )
    elif thread is None or (new.scope and not covers(new.scope, load(thread["metadata"]))):
        raise NotFound("thread", new.thread_id)
    change.kept = new.thread_id
    busy = _apply_strategy(change, new)
    _take_place(change, new.priority, limits.user)
    claimed = claim_for is not None and not busy and _may_claim(change, new, claim_for)
    if not claimed:
        _take_room(change, new.priority, limits.of(new.priority))
        change.notifications.append(Signal("queued", new.run_id))
    return _insert(change, new, claim_for if claimed else None)


def _apply_strategy(change: Change, new: NewRun) -> bool:
    """Carries out the strategy. Returns whether the thread still has unfinished runs."""
    found = change.all(UNFINISHED, thread_id=new.thread_id)
    unfinished = [rows.unfinished_of(row) for row in found]
    step = transitions.strategy(new.multitask_strategy, new.thread_id, unfinished)
    if step is None:
        return bool(unfinished)
    carry_out(change, step, "rollback" if new.multitask_strategy == "rollback" else "interrupt")
    return bool(step.ask)


def _may_claim(change: Change, new: NewRun, replica: str) -> bool:
    lease = change.one(ALIVE, replica=replica)
    if lease is None or new.delay_seconds > 0:
        return False
    graphs = lease["graphs"]
    if graphs is not None and new.graph_id is not None and new.graph_id not in load(graphs):
        return False
    part = parts.part(lease, change.all(FLEET))
    pin = change.value(PIN_OF_THREAD, thread_id=new.thread_id)
    if not parts.member_takes(part, new.graph_id, new.thread_id) or not parts.keeps(lease, pin):
        return False
    rank = change.now + fairness.rank_offset(fairness.level_of(new))
    asked = {**parts.pinning(lease), "rank": rank, "graphs": graphs, "part": part}
    return change.one(SOMEBODY_AHEAD, **asked) is None


def _pin(change: Change, replica: str) -> str | None:
    """The revision that a run is pinned to which this replica has claimed."""
    lease = change.one(OF_REPLICA, replica=replica)
    return None if lease is None else parts.pin_of(lease)


def _take_place(change: Change, priority: Priority, limit: int | None) -> None:
    if limit is None or change.asker is None:
        return
    if change.value(COUNT_UNFINISHED_OF, user=change.asker) >= limit:
        raise UserLimit(priority, limit, transitions.retry_after_seconds(limit))


def _take_room(change: Change, priority: Priority, limit: int) -> None:
    if change.value(COUNT_WAITING, priority=transitions.CODE[priority]) >= limit:
        raise QueueFull(priority, limit, transitions.retry_after_seconds(limit))


def _insert(change: Change, new: NewRun, claimed_by: str | None) -> sqlite3.Row:
    metadata = load(change.value(THREAD_METADATA, thread_id=new.thread_id))
    merged = dump({**metadata, **new.thread_metadata})
    kept = {
        "level": new.assigned_priority.level if new.assigned_priority else None,
        "group": escape(new.assigned_priority.group) if new.assigned_priority else None,
    }
    config = dump_optional(new.thread_config)
    thread = change.one(COUNT_RUN, thread_id=new.thread_id, metadata=merged, config=config, **kept)
    assert thread is not None, "the thread is there, and this transaction is alone"
    level, group = fairness.level_of(new), escape(new.group)
    turns = change.all(TURNS, level=level, group=group)[0]
    due_at = change.now + new.delay_seconds
    row = change.one(
        INSERT_RUN,
        run_id=new.run_id,
        thread_id=new.thread_id,
        seq=thread["runs"],
        assistant_id=new.assistant_id,
        status="pending" if claimed_by is None else "running",
        priority=transitions.CODE[new.priority],
        rank=due_at + fairness.rank_offset(level),
        metadata=dump(new.metadata),
        kwargs=dump(new.kwargs),
        multitask_strategy=new.multitask_strategy,
        delete_thread_after=new.delete_thread_after,
        attempt=0 if claimed_by is None else 1,
        claimed_by=claimed_by,
        claimed_at=None if claimed_by is None else change.now,
        due_at=due_at,
        webhook=new.webhook,
        created_by=change.asker,
        thread_metadata=thread["metadata"],
        level=level,
        fairness_group=group,
        turn=fairness.next_turn(*turns),
        graph_id=new.graph_id,
        pin=None if claimed_by is None else _pin(change, claimed_by),
    )
    assert row is not None, "an INSERT that returns nothing raises"
    return row
