"""Runs as records, and what their ends leave to be done: webhooks, and checkpoints that belong to nobody."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from lgs_runtime.model import CancelAction, Run, RunStatus, Scope, Webhook
from lgs_runtime.storage.queries import RunQuery


class Runs(Protocol):
    """Runs as they are stored."""

    async def get(self, run_id: str, thread_id: str | None = None, scope: Scope | None = None) -> Run:
        """One run. Raises `NotFound`, also when it is not of `thread_id`."""

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
        """Ids of pending or running runs of all threads (with `assistant_id`, of that assistant) that were
        stored until `before` and have not been asked to stop in the way `not_asked`: at most five
        hundred."""

    async def finished(self, run_ids: Collection[str]) -> Collection[str]:
        """Those of the runs that have ended or are gone: one read for all waiters."""

    async def delete(self, thread_id: str, run_id: str, scope: Scope | None = None) -> None:
        """Deletes a finished run. Raises `NotFound`, `Conflict` while it is pending or running."""

    async def expire(self, older_than_hours: float) -> int:
        """Deletes the records of runs that ended longer ago than that. Returns how many."""


class Webhooks(Protocol):
    """Calls to be made because runs have ended."""

    async def claim(self, limit: int, pauses: Sequence[float]) -> Sequence[Webhook]:
        """The webhooks that are due, each given to one caller, attempt charged. One that is not dropped is
        due again after that of `pauses` (seconds) which stands at the number of its attempts, or the last. A
        webhook is stored with the end of its run, and goes with the run's record; a run that is rolled back
        has none."""

    async def release(self, run_id: str, seconds: float) -> None:
        """The call was not made: the attempt is not charged, and it is due again after so long."""

    async def drop(self, run_id: str) -> None:
        """The call was made, or is given up."""


class Orphans(Protocol):
    """Threads whose record is gone, or never was, and whose checkpoints are not."""

    async def older_than(self, older_than_seconds: float) -> Sequence[str]:
        """Threads of stateless runs whose record went so long ago, and whose checkpoints nobody has said to
        be gone: at most a thousand. Their ids are never used again."""

    async def expect(self, thread_id: str, seconds: float) -> None:
        """A thread without a record has checkpoints for a while: unless it is forgotten before
        (`forget`), the cleanup deletes them so much later."""

    async def forget(self, thread_ids: Sequence[str]) -> None:
        """The checkpoints of these threads are gone."""
