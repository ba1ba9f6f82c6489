"""What is done to a thread's checkpoints besides what graphs do: measuring them, and deleting the oldest.

LangGraph's interface for savers has neither, so this goes to the official tables, on a connection of its own
that is opened for the purpose: it is seldom needed, and never while a run waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Amount:
    """How many rows, and how many bytes they take as stored."""

    count: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class StorageUse:
    """What a thread takes. On SQLite the values of channels stand inside of the checkpoints, and are counted
    there."""

    checkpoints: Amount = Amount()
    pending_writes: Amount = Amount()
    channels: Mapping[str, Amount] = field(default_factory=dict)


class Upkeep(Protocol):
    """All methods raise `StorageUnavailable`."""

    async def use(self, thread_id: str) -> StorageUse:
        """What a thread's checkpoints take."""

    async def prune(self, thread_id: str, floor: str) -> int:
        """Deletes the root checkpoints whose ids sort before `floor`, the checkpoints of subgraphs that
        belong to them, and what only those needed; returns how many checkpoints. Of a subgraph that keeps
        its state between runs, the last of those stays."""

    async def namespaces(self, thread_id: str) -> Sequence[str]:
        """The namespaces in which a thread has checkpoints, the root's (empty) first."""

    async def adopt(self, source: str, thread_id: str) -> None:
        """Gives a thread all checkpoints of `source`, in place of those that it has."""
