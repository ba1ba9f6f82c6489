"""The queue of runs over another, whose fields are sealed on their way in and opened on their way out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from lgs_runtime.encryption.cipher import CARRIED
from lgs_runtime.encryption.fields import Fields
from lgs_runtime.model import (
    CancelAction,
    Enqueued,
    Finished,
    NewRun,
    Outcome,
    QueueLimits,
    Run,
    RunStatus,
    Scope,
    Webhook,
)
from lgs_runtime.storage.contract import Storage
from lgs_runtime.storage.queries import RunQuery


class EncryptedQueue:
    """The parts of the `Queue` of the contract that have something to hide."""

    _inner: Storage
    _fields: Fields

    async def enqueue(self, new: NewRun, limits: QueueLimits, claim_for: str | None = None) -> Enqueued:
        sealed = await self._fields.new_run(new)
        enqueued = await self._inner.enqueue(sealed, limits, claim_for)
        return replace(enqueued, run=await self._stored(enqueued.run, new, sealed))

    async def enqueue_all(self, new: Sequence[NewRun], limits: QueueLimits) -> Sequence[Run]:
        sealed = await asyncio.gather(*(self._fields.new_run(one) for one in new))
        stored = await self._inner.enqueue_all(sealed, limits)
        return await asyncio.gather(*map(self._stored, stored, new, sealed))

    async def _stored(self, run: Run, new: NewRun, sealed: NewRun) -> Run:
        """The run as it was asked for, when it is that which is stored: that spares opening what has just
        been sealed."""
        if (run.kwargs, run.metadata) != (sealed.kwargs, sealed.metadata):
            return await self._fields.run_to_execute(run)
        known = replace(run, metadata=new.metadata, kwargs=new.kwargs)
        context = sealed.kwargs.get(CARRIED)
        return replace(known, kwargs={**new.kwargs, "encryption_context": context}) if context else known

    async def claim(self, replica: str, slots: int, graphs: Sequence[str] | None = None) -> Sequence[Run]:
        return await self._fields.runs_to_execute(await self._inner.claim(replica, slots, graphs))

    async def held(self, replica: str) -> Sequence[Run]:
        return await self._fields.runs_to_execute(await self._inner.held(replica))

    async def finish(self, run: Run, replica: str, outcome: Outcome) -> Finished:
        """Raises `EncryptionFailed` when its values can't be sealed: nothing is changed."""
        return await self._inner.finish(run, replica, await self._fields.outcome(outcome))

    async def reap(self, max_attempts: int, replica: str | None = None) -> Sequence[Run]:
        return await self._fields.runs_to_execute(await self._inner.reap(max_attempts, replica))

    async def cancel(
        self,
        thread_id: str | None,
        run_ids: Sequence[str],
        action: CancelAction,
        scope: Scope | None = None,
    ) -> Sequence[Run]:
        within = await self._fields.scope("thread", scope)
        stopped = await self._inner.cancel(thread_id, run_ids, action, within)
        return await self._fields.runs_to_execute(stopped)

    async def unfinished(
        self,
        statuses: Sequence[RunStatus],
        not_asked: CancelAction,
        before: datetime,
        scope: Scope | None = None,
    ) -> Sequence[str]:
        within = await self._fields.scope("thread", scope)
        return await self._inner.unfinished(statuses, not_asked, before, within)

    async def run(self, run_id: str, thread_id: str | None = None, scope: Scope | None = None) -> Run:
        within = await self._fields.scope("thread", scope)
        return await self._fields.run(await self._inner.run(run_id, thread_id, within))

    async def runs(self, thread_id: str, query: RunQuery) -> Sequence[Run]:
        return await self._fields.runs(await self._inner.runs(thread_id, await self._fields.run_query(query)))

    async def runs_of(self, user: str, query: RunQuery) -> Sequence[Run]:
        return await self._fields.runs(await self._inner.runs_of(user, await self._fields.run_query(query)))

    async def delete_run(self, thread_id: str, run_id: str, scope: Scope | None = None) -> None:
        await self._inner.delete_run(thread_id, run_id, await self._fields.scope("thread", scope))

    async def claim_webhooks(
        self, limit: int, retry_seconds: float, longest_seconds: float
    ) -> Sequence[Webhook]:
        """One that can't be opened is left for a later attempt."""
        due = await self._inner.claim_webhooks(limit, retry_seconds, longest_seconds)
        opened = await asyncio.gather(*map(self._fields.webhook, due))
        return [webhook for webhook in opened if webhook is not None]
