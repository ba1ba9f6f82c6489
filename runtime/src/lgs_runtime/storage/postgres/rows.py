"""Turns rows of PostgreSQL into values of the model."""

from __future__ import annotations

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.database.json_columns import unescape
from lgs_runtime.model import AssignedPriority, Assistant, Run, Thread, Version, Webhook
from lgs_runtime.storage.fairness import FIRST_TURN
from lgs_runtime.storage.lifetime import expiry, ttl_of
from lgs_runtime.storage.transitions import PRIORITY, Unfinished


def run(row: asyncpg.Record) -> Run:
    """A row of `lgs_run`."""
    return Run(
        run_id=row["run_id"],
        thread_id=row["thread_id"],
        assistant_id=row["assistant_id"],
        status=row["status"],
        priority=PRIORITY[row["priority"]],
        metadata=row["metadata"],
        kwargs=row["kwargs"],
        multitask_strategy=row["multitask_strategy"],
        attempt=row["attempt"],
        error=unescape(row["error"]),
        cancel_requested=row["cancel_requested"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        due_at=row["due_at"],
        claimed_at=row["claimed_at"],
        result=row["result"],
        created_by=unescape(row["created_by"]),
        version=row["version"],
        graph_id=row["graph_id"],
        handed_back=row["turn"] == FIRST_TURN,
        thread_metadata=row["thread_metadata"] or {},
    )


def webhook(row: asyncpg.Record) -> Webhook:
    """A row of `lgs_run` with its webhook."""
    values = row["webhook_values"]
    return Webhook(run(row), row["webhook_url"], values, row["webhook_attempts"])


def thread(row: asyncpg.Record) -> Thread:
    """A row of `lgs_thread`."""
    ttl = ttl_of(row["ttl_seconds"], row["ttl_strategy"])
    return Thread(
        thread_id=row["thread_id"],
        metadata=row["metadata"],
        config=row["config"],
        status=row["status"],
        values=row["values"],
        interrupts=row["interrupts"],
        error=unescape(row["error"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        state_updated_at=row["state_updated_at"],
        assigned_priority=None
        if row["level"] is None
        else AssignedPriority(row["level"], unescape(row["fairness_group"])),
        ttl=ttl,
        expires_at=expiry(ttl, row["updated_at"], row["ttl_from"], row["thinned_at"]),
    )


def version(row: asyncpg.Record) -> Version:
    """A row of `lgs_version`."""
    return Version(
        thread_id=row["thread_id"],
        version=row["version"],
        checkpoint_id=row["checkpoint_id"],
        run_id=row["run_id"],
        description=unescape(row["description"]),
        metadata=row["metadata"],
        interrupts=row["interrupts"],
        created_at=row["created_at"],
        created_by=unescape(row["created_by"]),
    )


def assistant(row: asyncpg.Record) -> Assistant:
    """A row of `lgs_assistant` or `lgs_assistant_version`."""
    return Assistant(
        assistant_id=row["assistant_id"],
        graph_id=row["graph_id"],
        name=unescape(row["name"]),
        description=unescape(row["description"]),
        config=row["config"],
        context=row["context"],
        metadata=row["metadata"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def unfinished_of(row: asyncpg.Record) -> Unfinished:
    """What a strategy needs to know about a run."""
    running = row["status"] == "running"
    begun = row["attempt"] > 0 or row["turn"] == FIRST_TURN
    return Unfinished(row["run_id"], running, begun, row["cancel_requested"])
