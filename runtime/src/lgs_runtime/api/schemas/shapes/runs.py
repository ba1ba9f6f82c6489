"""Answers about runs."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from lgs_runtime.api.schemas.shapes.parts import Object, parts_of
from lgs_runtime.model import MultitaskStrategy, Priority, RunStatus


class Run(BaseModel):
    """One execution of a graph."""

    run_id: str
    thread_id: str
    assistant_id: str
    created_at: datetime
    updated_at: datetime
    status: RunStatus
    metadata: Object
    kwargs: Object = Field(description="what the run was given")
    multitask_strategy: MultitaskStrategy
    priority: Priority
    attempt: int = Field(description="how often it was begun; 0 while it waits for the first time")
    error: str | None
    version: int | None = Field(description="the thread's version that this run left")


Runs = parts_of(Run)
