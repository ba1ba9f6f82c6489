"""Runs as records, and the work that their ends leave: webhooks, and checkpoints without a thread."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from lgs_runtime.model import CancelAction, Run, RunStatus, Scope, Webhook
from lgs_runtime.storage.queries import RunQuery


class Runs(Protocol):
    """Runs as they are stored."""

    async def get(self, run_id: str, thread_id: str | None = None, scope: Scope | None = None) -> Run:
        """One run. Raises `NotFound`, also when it is not on `thread_id`."""

    async def of_thread(self, thread_id: str, query: RunQuery) -> Sequence[Run]:
        """The runs of a thread, newest first."""

    async def of_user(self, user: str, query: RunQuery) -> Sequence[Run]:
        """The runs that a user asked for, on all threads, newest first."""

    async def unfinished(
        self,
        statuses: Sequence[RunStatus],
        not_asked: CancelAction,
        before: datetime,
        scope: Scope | None = None,
        assistant_id: str | None = None,
    ) -> Sequence[str]:
        """Ids of pending or running runs (`statuses`) of all threads, or of `assistant_id` only, that were
        stored until `before` and have not been asked to stop by the action `not_asked` or by rollback; at
        most five hundred."""

    async def finished(self, run_ids: Collection[str]) -> Collection[str]:
        """Those of the runs that have ended or are gone: one read for all waiters."""

    async def delete(self, thread_id: str, run_id: str, scope: Scope | None = None) -> None:
        """Deletes a finished run. Raises `NotFound`, and `Conflict` while the run is pending or running."""

    async def expire(self, older_than_hours: float) -> int:
        """Deletes the records of runs that ended more than this many hours ago. Returns how many."""


class Webhooks(Protocol):
    """Calls to make because runs have ended."""

    async def claim(self, limit: int, pauses: Sequence[float]) -> Sequence[Webhook]:
        """The webhooks that are due, each given to one caller, with an attempt charged. A webhook that is not
        dropped is due again after a pause in seconds: attempt n is followed by the n-th of `pauses`, or by
        the last. A webhook is stored with the end of its run, and deleted with the run's record; a run that
        is rolled back has none."""

    async def release(self, run_id: str, seconds: float) -> None:
        """Notes that the call was not made: the attempt is not charged, and the webhook is due again after
        `seconds`."""

    async def drop(self, run_id: str) -> None:
        """Notes that the call was made, or is given up."""


class Orphans(Protocol):
    """Threads that have checkpoints but no record: it was deleted, or never existed."""

    async def older_than(self, older_than_seconds: float) -> Sequence[str]:
        """Threads of stateless runs whose record was deleted at least `older_than_seconds` ago, and threads
        announced by `expect` whose time has come likewise, unless their checkpoints were reported as deleted
        (`forget`); at most a thousand. Their ids are never used again."""

    async def expect(self, thread_id: str, seconds: float) -> None:
        """Announces that a thread without a record has checkpoints for a while: unless it is forgotten before
        (`forget`), the cleanup deletes them, `seconds` later than those of a thread that goes now."""

    async def forget(self, thread_ids: Sequence[str]) -> None:
        """Notes that the checkpoints of these threads are gone."""
