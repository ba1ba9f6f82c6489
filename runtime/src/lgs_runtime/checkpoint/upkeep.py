"""Maintenance of a thread's checkpoints: measuring them, deleting the oldest, and moving them.

LangGraph's interface for savers has none of these, so they use the official tables directly, on a separate
connection that is opened for the purpose: it is seldom needed, and never while a run waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Amount:
    """Number of rows, and their stored size in bytes."""

    count: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class StorageUse:
    """The storage that a thread uses. On SQLite, checkpoints contain the channel values, and count them."""

    checkpoints: Amount = Amount()
    pending_writes: Amount = Amount()
    channels: Mapping[str, Amount] = field(default_factory=dict)


class Upkeep(Protocol):
    """All methods raise `StorageUnavailable`."""

    async def use(self, thread_id: str) -> StorageUse:
        """The storage that a thread's checkpoints use."""

    async def prune(self, thread_id: str, floor: str) -> int:
        """Deletes the root checkpoints whose ids sort before `floor`, the subgraph checkpoints that belong to
        them, and the data that only those needed; returns the number of deleted checkpoints. For a subgraph
        that keeps its state between runs, the last of its checkpoints before `floor` stays."""

    async def namespaces(self, thread_id: str) -> Sequence[str]:
        """The namespaces in which a thread has checkpoints; the root's (empty) comes first."""

    async def adopt(self, source: str, thread_id: str) -> None:
        """Moves all checkpoints of the thread `source` to `thread_id`, replacing those that it has."""
