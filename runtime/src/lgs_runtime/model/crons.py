"""Crons: runs that are made on a schedule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from lgs_runtime.model.base import Json


@dataclass(frozen=True, slots=True)
class Cron:
    """A run that is made again and again. `payload` is the request for each run, as the API validated it."""

    cron_id: str
    assistant_id: str
    thread_id: str | None
    """None: each run has a thread of its own."""
    schedule: str
    """Five cron fields, in the time of `timezone`."""
    timezone: str | None
    """A name of the IANA time zone database; None: UTC."""
    payload: Json
    metadata: Json
    on_run_completed: Literal["delete", "keep"] | None
    end_time: datetime | None
    enabled: bool
    next_run_date: datetime | None
    """When the next run is due; None: never."""
    created_at: datetime
    updated_at: datetime
    caller: Json | None = None
    """The user who made it (`auth.users.User` as JSON), in whose name its runs are made."""
