"""Threads: their records, versions and audit log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from lgs_runtime.model.base import Json
from lgs_runtime.model.queue import AssignedPriority

ThreadStatus = Literal["idle", "busy", "interrupted", "error"]
TtlStrategy = Literal["delete", "keep_latest"]


@dataclass(frozen=True, slots=True)
class Ttl:
    """How long a thread is kept after its last change. Then it is deleted, or loses all but its latest
    state."""

    seconds: float
    strategy: TtlStrategy = "delete"


@dataclass(frozen=True, slots=True)
class Thread:
    """A session. `values` and `interrupts` are those of its latest checkpoint when its last run ended."""

    thread_id: str
    metadata: Json
    config: Json
    status: ThreadStatus
    values: Json | None
    interrupts: Json
    error: str | None
    created_at: datetime
    updated_at: datetime
    state_updated_at: datetime
    assigned_priority: AssignedPriority | None = None
    """The priority that its first run settled for its later ones; None: nothing is settled yet."""
    ttl: Ttl | None = None
    """The time to live; None: the thread is kept for ever."""
    expires_at: datetime | None = None
    """When its time to live ends unless it changes before; None: never, or what was due then is done."""


@dataclass(frozen=True, slots=True)
class Version:
    """A numbered state of a thread, made by the end of a run or by hand. `interrupts` are the questions that
    waited for a person at that time, by task."""

    thread_id: str
    version: int
    checkpoint_id: str
    run_id: str | None
    """The run whose end made it; None: it was saved by hand, or rolled back to."""
    description: str | None
    metadata: Json
    interrupts: Json
    created_at: datetime
    created_by: str | None
    """Who asked for the run, or saved the version; None: unknown."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to a thread, and when by the database's clock. `who` None: unknown, or the service did it
    by itself."""

    at: datetime
    who: str | None
    what: str
    details: Json
