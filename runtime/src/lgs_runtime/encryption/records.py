"""Assistants, threads, versions, trails, archives and crons over another storage, whose fields are sealed on
their way in and opened on their way out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lgs_runtime.encryption.fields import Fields, carrying_context
from lgs_runtime.model import (
    Assistant,
    AuditEntry,
    Cron,
    Json,
    Page,
    Scope,
    Thread,
    ThreadStatus,
    Ttl,
    Version,
)
from lgs_runtime.storage.archives import Record
from lgs_runtime.storage.contract import Storage
from lgs_runtime.storage.histories import NewVersion
from lgs_runtime.storage.queries import AssistantQuery, CronQuery, ThreadQuery


class EncryptedRecords:
    """The parts of the `Records` of the contract that have something to hide."""

    _inner: Storage
    _fields: Fields

    async def create_assistant(
        self, assistant: Assistant, if_exists: str = "raise", scope: Scope | None = None
    ) -> Assistant:
        plain = {name: getattr(assistant, name) for name in ("config", "context", "metadata")}
        sealed = replace(assistant, **await self._fields.sealed("assistant", plain))
        within = await self._fields.scope("assistant", scope)
        return await self._assistant(await self._inner.create_assistant(sealed, if_exists, within))

    async def assistant(self, assistant_id: str, scope: Scope | None = None) -> Assistant:
        within = await self._fields.scope("assistant", scope)
        return await self._assistant(await self._inner.assistant(assistant_id, within))

    async def update_assistant(
        self, assistant_id: str, changes: Mapping[str, Any], scope: Scope | None = None
    ) -> Assistant:
        sealed = await self._fields.sealed("assistant", changes)
        within = await self._fields.scope("assistant", scope)
        return await self._assistant(await self._inner.update_assistant(assistant_id, sealed, within))

    async def assistant_versions(
        self, assistant_id: str, page: Page, metadata: Json | None = None, scope: Scope | None = None
    ) -> Sequence[Assistant]:
        wanted = await self._fields.wanted("assistant", "metadata", metadata)
        within = await self._fields.scope("assistant", scope)
        found = await self._inner.assistant_versions(assistant_id, page, wanted, within)
        return await self._fields.records("assistant", found)

    async def set_latest(self, assistant_id: str, version: int, scope: Scope | None = None) -> Assistant:
        within = await self._fields.scope("assistant", scope)
        return await self._assistant(await self._inner.set_latest(assistant_id, version, within))

    async def delete_assistant(
        self,
        assistant_id: str,
        *,
        delete_threads: bool = False,
        scope: Scope | None = None,
        threads_scope: Scope | None = None,
    ) -> None:
        await self._inner.delete_assistant(
            assistant_id,
            delete_threads=delete_threads,
            scope=await self._fields.scope("assistant", scope),
            threads_scope=await self._fields.scope("thread", threads_scope),
        )

    async def assistants(self, query: AssistantQuery) -> Sequence[Assistant]:
        found = await self._inner.assistants(await self._fields.assistant_query(query))
        return await self._fields.records("assistant", found)

    async def count_assistants(self, query: AssistantQuery) -> int:
        return await self._inner.count_assistants(await self._fields.assistant_query(query))

    async def _assistant(self, kept: Assistant) -> Assistant:
        return await self._fields.record("assistant", kept)

    async def create_thread(
        self,
        thread_id: str,
        metadata: Json,
        if_exists: str = "raise",
        ttl: Ttl | None = None,
        scope: Scope | None = None,
    ) -> Thread:
        sealed = await self._metadata("thread", metadata)
        within = await self._fields.scope("thread", scope)
        made = await self._inner.create_thread(thread_id, sealed, if_exists, ttl, within)
        return await self._fields.record("thread", made)

    async def thread(self, thread_id: str, scope: Scope | None = None) -> Thread:
        within = await self._fields.scope("thread", scope)
        return await self._fields.record("thread", await self._inner.thread(thread_id, within))

    async def update_thread(
        self,
        thread_id: str,
        metadata: Json,
        ttl: Ttl | None = None,
        scope: Scope | None = None,
    ) -> Thread:
        sealed = await self._metadata("thread", metadata)
        within = await self._fields.scope("thread", scope)
        changed = await self._inner.update_thread(thread_id, sealed, ttl, within)
        return await self._fields.record("thread", changed)

    async def set_thread_state(
        self, thread_id: str, values: Json, interrupts: Json, status: ThreadStatus
    ) -> Thread:
        sealed = await self._fields.sealed("thread", {"values": values, "interrupts": interrupts})
        changed = await self._inner.set_thread_state(
            thread_id, sealed["values"], sealed["interrupts"], status
        )
        return await self._fields.record("thread", changed)

    async def delete_thread(self, thread_id: str, scope: Scope | None = None) -> None:
        await self._inner.delete_thread(thread_id, await self._fields.scope("thread", scope))

    async def copy_thread(
        self,
        thread_id: str,
        new_thread_id: str,
        metadata: Json | None = None,
        scope: Scope | None = None,
        ttl: Ttl | None = None,
    ) -> Thread:
        sealed = None if metadata is None else await self._metadata("thread", metadata)
        within = await self._fields.scope("thread", scope)
        made = await self._inner.copy_thread(thread_id, new_thread_id, sealed, within, ttl)
        return await self._fields.record("thread", made)

    async def stale_threads(self, limit: int) -> Sequence[Thread]:
        """One that can't be opened is left for a later look."""
        opened = await asyncio.gather(*map(self._fields.stale_thread, await self._inner.stale_threads(limit)))
        return [thread for thread in opened if thread is not None]

    async def threads(self, query: ThreadQuery) -> Sequence[Thread]:
        found = await self._inner.threads(await self._fields.thread_query(query))
        return await self._fields.records("thread", found)

    async def count_threads(self, query: ThreadQuery) -> int:
        return await self._inner.count_threads(await self._fields.thread_query(query))

    async def _metadata(self, model: str, metadata: Json) -> Json:
        sealed: Json = (await self._fields.sealed(model, {"metadata": metadata}))["metadata"]
        return sealed


class EncryptedHistories:
    """The parts of `Versions`, `Audit` and `Archives` that have something to hide."""

    _inner: Storage
    _fields: Fields

    async def versions(self, thread_id: str, page: Page, metadata: Json | None = None) -> Sequence[Version]:
        wanted = await self._fields.wanted("version", "metadata", metadata)
        return await self._fields.records("version", await self._inner.versions(thread_id, page, wanted))

    async def version(self, thread_id: str, version: int) -> Version:
        return await self._fields.record("version", await self._inner.version(thread_id, version))

    async def describe_version(
        self, thread_id: str, version: int, description: str | None, metadata: Json
    ) -> Version:
        told = {"description": description, "metadata": metadata}
        sealed = await self._fields.sealed("version", told)
        changed = await self._inner.describe_version(thread_id, version, **sealed)
        return await self._fields.record("version", changed)

    async def add_version(self, new: NewVersion) -> Version:
        made = await self._inner.add_version(await self._fields.new_version(new))
        return await self._fields.record("version", made)

    async def audit(self, thread_id: str, page: Page, *, present_only: bool = False) -> Sequence[AuditEntry]:
        found = await self._inner.audit(thread_id, page, present_only=present_only)
        return await asyncio.gather(*map(self._fields.entry, found))

    async def record(self, thread_id: str) -> Record:
        return await self._fields.archived(await self._inner.record(thread_id))

    async def restore(self, record: Record) -> None:
        await self._inner.restore(await self._fields.arrived(record))


class EncryptedCrons:
    """The parts of `Crons` that have something to hide."""

    _inner: Storage
    _fields: Fields

    async def create_cron(self, cron: Cron) -> Cron:
        """The context of who makes it goes along, for its runs."""
        plain = {name: getattr(cron, name) for name in ("payload", "metadata", "caller")}
        sealed = await self._fields.sealed("cron", plain)
        sealed["payload"] = carrying_context(sealed["payload"])
        made = await self._inner.create_cron(replace(cron, **sealed))
        return await self._fields.record("cron", made)

    async def cron(self, cron_id: str, scope: Scope | None = None) -> Cron:
        within = await self._fields.scope("cron", scope)
        return await self._fields.record("cron", await self._inner.cron(cron_id, within))

    async def update_cron(self, cron_id: str, changes: Mapping[str, Any], scope: Scope | None = None) -> Cron:
        """Its runs get the context of who changes what they do."""
        sealed = await self._fields.sealed("cron", changes)
        if sealed.get("payload") is not None:
            sealed["payload"] = carrying_context(sealed["payload"])
        within = await self._fields.scope("cron", scope)
        return await self._fields.record("cron", await self._inner.update_cron(cron_id, sealed, within))

    async def delete_cron(self, cron_id: str, scope: Scope | None = None) -> None:
        await self._inner.delete_cron(cron_id, await self._fields.scope("cron", scope))

    async def crons(self, query: CronQuery) -> Sequence[Cron]:
        return await self._fields.records(
            "cron", await self._inner.crons(await self._fields.cron_query(query))
        )

    async def count_crons(self, query: CronQuery) -> int:
        return await self._inner.count_crons(await self._fields.cron_query(query))

    async def claim_crons(self, limit: int, hold_seconds: float) -> Sequence[Cron]:
        """One that can't be opened is left for a later look."""
        due = await self._inner.claim_crons(limit, hold_seconds)
        opened = await asyncio.gather(*map(self._fields.cron_to_fire, due))
        return [cron for cron in opened if cron is not None]
