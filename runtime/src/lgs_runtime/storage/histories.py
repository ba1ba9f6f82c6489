"""What every storage promises about the versions of threads, and about their audit trail.

A version is stored with the end of its run (`Queue.finish`), or by `add_version`; its number is one more than
the newest the thread ever had. Part of the `Storage`; raises and promises as the rest of the contract does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from lgs_runtime.model import AuditEntry, Json, Outcome, Page, ThreadStatus, Version

MAKES_VERSION: Final = ("success", "interrupted")
"""How a run must end to make a version of its thread: with a state that somebody may want back."""


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version to be stored beside those of runs: saved by hand, or rolled back to.

    With `values` the thread's record becomes that of the version's checkpoint (`values`, `interrupts`,
    `status`), which is then the latest; without, the record stays.
    """

    thread_id: str
    checkpoint_id: str
    interrupts: Json = field(default_factory=dict)
    description: str | None = None
    metadata: Json = field(default_factory=dict)
    values: Json | None = None
    status: ThreadStatus = "idle"


@dataclass(frozen=True, slots=True)
class PrunedVersions:
    """What pruning a thread's versions did."""

    deleted: int
    oldest: str | None
    """The oldest checkpoint that a version still names (as checkpoints' ids sort); None: there is none."""


def checkpoint_of(outcome: Outcome) -> str | None:
    """The checkpoint that becomes a version when a run ends so; None: it makes none."""
    return outcome.checkpoint_id if outcome.status in MAKES_VERSION else None


def entry_of(version: Version) -> tuple[str, Json]:
    """What the audit trail says of a version that no run made."""
    named: dict[str, object] = {"version": version.version, "checkpoint_id": version.checkpoint_id}
    if "rollback_from" not in version.metadata:
        return "version.saved", named
    return "version.rolled_back", {**named, "rollback_from": version.metadata["rollback_from"]}


class Versions(Protocol):
    """The numbered states of threads."""

    async def versions(self, thread_id: str, page: Page, metadata: Json | None = None) -> Sequence[Version]:
        """The versions of a thread that are kept, newest first; `metadata` is contained."""

    async def version(self, thread_id: str, version: int) -> Version:
        """One version. Raises `NotFound`."""

    async def describe_version(
        self, thread_id: str, version: int, description: str | None, metadata: Json
    ) -> Version:
        """Replaces the description (None: leaves it) and merges metadata. Raises `NotFound`."""

    async def add_version(self, new: NewVersion) -> Version:
        """Stores a version now. Raises `NotFound` (thread), `Conflict` when a run is unfinished on it."""

    async def threads_over_version_limit(self) -> Sequence[str]:
        """Threads that may have more versions than are kept: at most a thousand."""

    async def prune_versions(self, thread_id: str, keep: int) -> PrunedVersions:
        """Deletes all but the newest `keep` versions."""

    async def forget_crowded(self, thread_ids: Sequence[str]) -> None:
        """These threads were pruned, with their checkpoints."""


class Audit(Protocol):
    """Who did what to a thread. Every change that a storage makes is written down with the change itself: the
    thread created, updated, copied and deleted, its state updated, a run created, ended, cancelled, rolled
    back and deleted, a version saved, rolled back to and described. Threads of stateless runs have none."""

    async def audit(self, thread_id: str, page: Page, *, present_only: bool = False) -> Sequence[AuditEntry]:
        """The trail of a thread, newest first; that of a deleted one too, as long as it is kept.
        `present_only`: nothing of a thread that was deleted, also where a later one has its id."""

    async def note(self, thread_id: str, what: str, details: Json) -> None:
        """Adds what was done outside of the storage."""

    async def expire_audit(self, older_than_days: float) -> int:
        """Deletes the trails of threads that were deleted longer ago than that. Returns how many entries."""
