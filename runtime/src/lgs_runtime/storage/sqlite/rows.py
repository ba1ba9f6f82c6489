"""Turns rows of SQLite into values of the model."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Any

from lgs_runtime.database.json_columns import load, unescape
from lgs_runtime.model import AssignedPriority, Assistant, Run, Thread, Version, Webhook
from lgs_runtime.storage.fairness import FIRST_TURN
from lgs_runtime.storage.lifetime import expiry, ttl_of
from lgs_runtime.storage.transitions import PRIORITY, Unfinished


def time(seconds: float) -> datetime:
    """Seconds since the epoch as an aware datetime."""
    return datetime.fromtimestamp(seconds, UTC)


def _optional_time(seconds: float | None) -> datetime | None:
    return None if seconds is None else time(seconds)


def _optional(text: str | None) -> Any:
    return None if text is None else load(text)


def run(row: sqlite3.Row) -> Run:
    """A row of `lgs_run`."""
    return Run(
        run_id=row["run_id"],
        thread_id=row["thread_id"],
        assistant_id=row["assistant_id"],
        status=row["status"],
        priority=PRIORITY[row["priority"]],
        metadata=load(row["metadata"]),
        kwargs=load(row["kwargs"]),
        multitask_strategy=row["multitask_strategy"],
        attempt=row["attempt"],
        error=unescape(row["error"]),
        cancel_requested=row["cancel_requested"],
        created_at=time(row["created_at"]),
        updated_at=time(row["updated_at"]),
        due_at=time(row["due_at"]),
        claimed_at=None if row["claimed_at"] is None else time(row["claimed_at"]),
        result=_optional(row["result"]),
        created_by=unescape(row["created_by"]),
        version=row["version"],
        graph_id=row["graph_id"],
        handed_back=row["turn"] == FIRST_TURN,
        thread_metadata=_optional(row["thread_metadata"]) or {},
    )


def webhook(row: sqlite3.Row) -> Webhook:
    """A row of `lgs_run` with its webhook."""
    values = _optional(row["webhook_values"])
    return Webhook(run(row), row["webhook_url"], values, row["webhook_attempts"])


def thread(row: sqlite3.Row) -> Thread:
    """A row of `lgs_thread`."""
    ttl = ttl_of(row["ttl_seconds"], row["ttl_strategy"])
    return Thread(
        thread_id=row["thread_id"],
        metadata=load(row["metadata"]),
        config=load(row["config"]),
        status=row["status"],
        values=_optional(row["values"]),
        interrupts=load(row["interrupts"]),
        error=unescape(row["error"]),
        created_at=time(row["created_at"]),
        updated_at=time(row["updated_at"]),
        state_updated_at=time(row["state_updated_at"]),
        assigned_priority=None
        if row["level"] is None
        else AssignedPriority(row["level"], unescape(row["fairness_group"])),
        ttl=ttl,
        expires_at=expiry(
            ttl, time(row["updated_at"]), _optional_time(row["ttl_from"]), _optional_time(row["thinned_at"])
        ),
    )


def version(row: sqlite3.Row) -> Version:
    """A row of `lgs_version`."""
    return Version(
        thread_id=row["thread_id"],
        version=row["version"],
        checkpoint_id=row["checkpoint_id"],
        run_id=row["run_id"],
        description=unescape(row["description"]),
        metadata=load(row["metadata"]),
        interrupts=load(row["interrupts"]),
        created_at=time(row["created_at"]),
        created_by=unescape(row["created_by"]),
    )


def assistant(row: sqlite3.Row) -> Assistant:
    """A row of `lgs_assistant` or `lgs_assistant_version`."""
    return Assistant(
        assistant_id=row["assistant_id"],
        graph_id=row["graph_id"],
        name=unescape(row["name"]),
        description=unescape(row["description"]),
        config=load(row["config"]),
        context=load(row["context"]),
        metadata=load(row["metadata"]),
        version=row["version"],
        created_at=time(row["created_at"]),
        updated_at=time(row["updated_at"]),
    )


def unfinished_of(row: sqlite3.Row) -> Unfinished:
    """What a strategy needs to know about a run."""
    running = row["status"] == "running"
    begun = row["attempt"] > 0 or row["turn"] == FIRST_TURN
    return Unfinished(row["run_id"], running, begun, row["cancel_requested"])
