"""What was: the versions of threads, their audit trails, and whole records that leave or come back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lgs_runtime.model import AuditEntry, Json, Page, Version
from lgs_runtime.storage.archives import Record
from lgs_runtime.storage.histories import NewVersion, PrunedVersions


class Versions(Protocol):
    """The numbered states of threads. A version is stored with the end of its run (`Queue.finish`), or by
    `add`; its number is one more than the newest the thread ever had."""

    async def of_thread(self, thread_id: str, page: Page, metadata: Json | None = None) -> Sequence[Version]:
        """The versions of a thread that are kept, newest first; `metadata` is contained."""

    async def get(self, thread_id: str, version: int) -> Version:
        """One version. Raises `NotFound`."""

    async def describe(
        self, thread_id: str, version: int, description: str | None, metadata: Json
    ) -> Version:
        """Replaces the description (None: leaves it) and merges metadata. Raises `NotFound`."""

    async def add(self, new: NewVersion) -> Version:
        """Stores a version now. Raises `NotFound` (thread), `Conflict` when a run is unfinished on it."""

    async def threads_over_limit(self) -> Sequence[str]:
        """Threads that may have more versions than are kept: at most a thousand."""

    async def prune(self, thread_id: str, keep: int) -> PrunedVersions:
        """Deletes all but the newest `keep` versions."""

    async def forget_over_limit(self, thread_ids: Sequence[str]) -> None:
        """These threads were pruned, with their checkpoints."""


class Audit(Protocol):
    """Who did what to a thread. Every change that a storage makes is written down with the change itself: the
    thread created, updated, copied and deleted, its state updated, a run created, ended, cancelled, rolled
    back and deleted, a version saved, rolled back to and described. Threads of stateless runs have none."""

    async def of_thread(
        self, thread_id: str, page: Page, *, present_only: bool = False
    ) -> Sequence[AuditEntry]:
        """The trail of a thread, newest first; that of a deleted one too, as long as it is kept.
        `present_only`: nothing of a thread that was deleted, also where a later one has its id."""

    async def note(self, thread_id: str, what: str, details: Json) -> None:
        """Adds what was done outside of the storage."""

    async def expire(self, older_than_days: float) -> int:
        """Deletes the trails of threads that were deleted longer ago than that. Returns how many entries."""


class Archives(Protocol):
    """Records of threads as plain JSON, out of a database and into one."""

    async def record(self, thread_id: str) -> Record:
        """What is stored of a thread. Raises `NotFound`."""

    async def restore(self, record: Record) -> None:
        """Stores the record of a thread that was `checked`, in one transaction. Raises `Conflict` when the
        thread, or a run of its, is there."""

    async def thread_ids(self, after: str, limit: int) -> Sequence[str]:
        """Threads by id, those after `after`."""
