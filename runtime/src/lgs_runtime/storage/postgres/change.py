"""One transaction on the queue, and the news it makes, which are sent when it is committed."""

from __future__ import annotations

from dataclasses import dataclass, field

import asyncpg  # type: ignore[import-untyped]

from lgs_runtime.model import Signal


@dataclass(frozen=True, slots=True)
class Change:
    """What the steps of the queue work with."""

    connection: asyncpg.Connection
    notifications: list[Signal] = field(default_factory=list)
