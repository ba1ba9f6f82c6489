"""The history of threads: their versions, their audit trails, and whole records exported or restored."""

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
        """The kept versions of a thread, newest first; a version's metadata must contain `metadata`."""

    async def get(self, thread_id: str, version: int) -> Version:
        """One version. Raises `NotFound`."""

    async def describe(
        self, thread_id: str, version: int, description: str | None, metadata: Json
    ) -> Version:
        """Replaces the description (None leaves it) and merges the metadata. Raises `NotFound`."""

    async def add(self, new: NewVersion) -> Version:
        """Stores a version now. Raises `NotFound` (thread), and `Conflict` when the thread has an unfinished
        run."""

    async def threads_over_limit(self) -> Sequence[str]:
        """Threads that may have more versions than are kept; at most a thousand."""

    async def prune(self, thread_id: str, keep: int) -> PrunedVersions:
        """Deletes all but the newest `keep` versions."""

    async def forget_over_limit(self, thread_ids: Sequence[str]) -> None:
        """Notes that these threads were pruned, with their checkpoints."""


class Audit(Protocol):
    """Who did what to a thread. Every change that a storage makes is written down with the change itself: the
    thread created, updated, copied and deleted, its state updated, a run created, ended, cancelled, rolled
    back and deleted, a version saved, rolled back to and described. Threads of stateless runs have no
    trail."""

    async def of_thread(
        self, thread_id: str, page: Page, *, present_only: bool = False
    ) -> Sequence[AuditEntry]:
        """The trail of a thread, newest first; that of a deleted thread too, as long as it is kept.
        `present_only`: nothing of a deleted thread, even when a later thread has its id."""

    async def note(self, thread_id: str, what: str, details: Json) -> None:
        """Adds an entry for something done outside of the storage."""

    async def expire(self, older_than_days: float) -> int:
        """Deletes the trails of threads that were deleted more than this many days ago. Returns how many
        entries."""


class Archives(Protocol):
    """Records of threads as plain JSON, read from a database or restored into one."""

    async def record(self, thread_id: str) -> Record:
        """Everything stored about a thread, except its checkpoints. Raises `NotFound`."""

    async def restore(self, record: Record) -> None:
        """Stores the record of a thread, which must have been `checked`, in one transaction. Raises
        `Conflict` when the thread, or one of its runs, exists."""

    async def thread_ids(self, after: str, limit: int) -> Sequence[str]:
        """Ids of threads in their order: at most `limit`, those greater than `after`."""
