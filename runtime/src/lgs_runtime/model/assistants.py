"""Assistants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lgs_runtime.model.base import Json


@dataclass(frozen=True, slots=True)
class Assistant:
    """A graph with its configuration, at its current version."""

    assistant_id: str
    graph_id: str
    name: str
    description: str | None
    config: Json
    context: Json
    metadata: Json
    version: int
    created_at: datetime
    updated_at: datetime
