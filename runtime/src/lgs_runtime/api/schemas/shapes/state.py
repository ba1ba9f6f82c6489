"""Answers about the state of a thread, now or at a checkpoint or version."""

from __future__ import annotations

from datetime import datetime
from types import GenericAlias
from typing import Any

from pydantic import BaseModel, Field

from lgs_runtime.api.schemas.shapes.parts import Object, part_of


class Interrupt(BaseModel):
    """A question that a graph waits to be answered."""

    value: Any
    id: str
    response_schema: Any = Field(None, description="what an answer must be, where the graph says so")


class Checkpoint(BaseModel):
    """Names a checkpoint of a thread."""

    thread_id: str | None = None
    checkpoint_ns: str
    checkpoint_id: str | None = Field(None, description="absent: the latest")
    checkpoint_map: Object | None = None


class Task(BaseModel):
    """A node that is next, or was interrupted or failed."""

    id: str
    name: str
    path: list[Any]
    error: str | None
    interrupts: list[Interrupt]
    checkpoint: Checkpoint | None
    state: Object | None = Field(description="the state of a subgraph, when asked for")
    result: Any


class ThreadState(BaseModel):
    """The state of a thread at a checkpoint."""

    values: Any
    next: list[str]
    tasks: list[Task]
    metadata: Object
    created_at: datetime | None
    checkpoint: Checkpoint | None
    parent_checkpoint: Checkpoint | None
    interrupts: list[Interrupt]
    checkpoint_id: str | None
    parent_checkpoint_id: str | None


class StateUpdated(BaseModel):
    """The checkpoint that a change of the state made."""

    checkpoint: Object
    configurable: Object
    checkpoint_id: str | None = None


class Version(BaseModel):
    """A state of a thread that can be gone back to."""

    thread_id: str
    version: int
    checkpoint_id: str | None
    run_id: str | None
    description: str | None
    metadata: Object
    interrupts: Any
    created_at: datetime
    created_by: str | None


class VersionState(Version):
    """A version with its state."""

    values: Any
    next: list[str]
    tasks: list[Task]
    checkpoint: Checkpoint | None
    parent_checkpoint: Checkpoint | None


StateFields = part_of(ThreadState)
States = GenericAlias(list, (StateFields,))
