"""Answers about threads, their audit log and their use of the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from lgs_runtime.api.schemas.shapes.parts import Object, parts_of
from lgs_runtime.model import ThreadStatus, TtlStrategy


class ThreadTtl(BaseModel):
    """How long a thread is left alone after its last change."""

    strategy: TtlStrategy
    ttl_minutes: float
    expires_at: datetime | None = Field(description="null when what was due then is done")


class Thread(BaseModel):
    """A session: the record, with the values at the end of its latest run."""

    thread_id: str
    created_at: datetime
    updated_at: datetime
    state_updated_at: datetime
    metadata: Object
    config: Object
    status: ThreadStatus
    values: Any = Field(description="null before the first run")
    interrupts: dict[str, list[Any]] = Field(description="the open interrupts, by task")
    error: Object | None = Field(
        description="`error` and `message` of the exception that its latest run failed with"
    )
    extracted: Object | None = Field(None, description="what `extract` asked for")
    ttl: ThreadTtl | None = Field(None, description="with `include=ttl`; null: it is kept for ever")


class Amount(BaseModel):
    """Rows, and what they take."""

    count: int
    bytes: int


class ChannelAmount(BaseModel):
    """What one channel's values take."""

    versions: int
    bytes: int


class ChannelAmounts(Amount):
    """What the values of all channels take."""

    by_channel: dict[str, ChannelAmount]


class ThreadStorage(BaseModel):
    """What the checkpoints of a thread take."""

    thread_id: str
    total_bytes: int
    checkpoints: Amount
    channel_values: ChannelAmounts
    pending_writes: Amount


class AuditEntry(BaseModel):
    """Who did what to a thread, and when."""

    at: datetime
    who: str | None
    what: str
    details: Object


class Pruned(BaseModel):
    """How many threads were pruned."""

    pruned_count: int


Threads = parts_of(Thread)
