"""Answers about crons."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from lgs_runtime.api.schemas.shapes.parts import Object, parts_of


class Cron(BaseModel):
    """A schedule by which runs are made."""

    cron_id: str
    assistant_id: str
    thread_id: str | None
    on_run_completed: str | None
    end_time: datetime | None
    schedule: str
    timezone: str | None
    created_at: datetime
    updated_at: datetime
    payload: Object = Field(description="what each run is given")
    user_id: str | None
    next_run_date: datetime | None
    metadata: Object
    enabled: bool


Crons = parts_of(Cron)
