"""The queue of runs: priorities, limits and depth; and the signals about it between replicas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

DEFAULT_GROUP = "default"


class Priority(StrEnum):
    """How urgent a run is. The queue serves high before normal before low, with aging."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


Pinning = Literal["open", "closed"]
"""How a replica takes threads that are pinned to revisions. `open`: those of its own revision and all that
are pinned to none, which it pins to its own. `closed`: only those of its own."""


@dataclass(frozen=True, slots=True)
class Release:
    """What a replica runs: the name of its revision, and for a canary the percentage of the threads whose
    runs it takes (None: it is no canary). `pinning` None: it takes no account of pinned threads."""

    revision: str | None = None
    canary_percent: int | None = None
    pinning: Pinning | None = None


@dataclass(frozen=True, slots=True)
class Pinned:
    """What is pinned to a revision: interrupted threads, and unfinished runs. `moved`: how many of them have
    just become free for other revisions."""

    revision: str
    threads: int
    runs: int
    moved: int = 0


@dataclass(frozen=True, slots=True)
class AssignedPriority:
    """The place in the queue of a thread's runs."""

    level: int = 0
    """From -5, the most urgent, to 5."""
    group: str = DEFAULT_GROUP
    """Groups of one level are served in turn, however many runs each has waiting."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How many runs of each priority may wait, over all replicas of the service."""

    high: int = 100
    normal: int = 500
    low: int = 1000
    user: int | None = None
    """How many unfinished runs one user may have; None: any number."""

    def of(self, priority: Priority) -> int:
        """The limit of one priority, in runs."""
        return {Priority.HIGH: self.high, Priority.NORMAL: self.normal, Priority.LOW: self.low}[priority]


@dataclass(frozen=True, slots=True)
class PriorityDepth:
    """Runs of one priority that wait and could be claimed now, and the age of the oldest in seconds (0 if
    there is none)."""

    waiting: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """The queue of the whole service at one moment. `blocked` runs wait for their thread or for their
    time."""

    high: PriorityDepth
    normal: PriorityDepth
    low: PriorityDepth
    blocked: int
    unserved: Mapping[str, int] = field(default_factory=dict)
    """Runs that could be claimed if a live replica had their graph, counted by graph. None of the other
    numbers includes them."""
    next_due_seconds: float | None = None
    """Seconds until the next delayed run or cron is due. None: none is to come."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A message from one replica to all, itself included. A signal may be lost or doubled: code that needs
    certainty reads the storage too.

    `queued`: a run may be claimable; `cancel`: the run was asked to stop; `finished`: the run ended;
    `thread`: a run of the thread has begun, or was cancelled before it could, or the thread is gone.
    `subject` is the id of the run, or of the thread.
    """

    kind: Literal["queued", "cancel", "finished", "thread"]
    subject: str
