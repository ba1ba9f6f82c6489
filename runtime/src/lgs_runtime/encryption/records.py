"""Seals and opens assistants, threads, versions, trails, archives and crons."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from lgs_runtime.encryption.cipher import CARRIED, MARK
from lgs_runtime.encryption.fields import FIELDS, Fields, carrying_context
from lgs_runtime.encryption.runs import sealed_error
from lgs_runtime.errors import EncryptionFailed
from lgs_runtime.model import Assistant, AuditEntry, Cron, Json, Thread
from lgs_runtime.storage.archives import Record
from lgs_runtime.storage.histories import NewVersion
from lgs_runtime.storage.queries import ThreadQuery

log = structlog.get_logger(__name__)


async def new_assistant(fields: Fields, assistant: Assistant) -> Assistant:
    """Seals an assistant to be stored."""
    plain = {name: getattr(assistant, name) for name in FIELDS["assistant"]}
    return replace(assistant, **await fields.sealed("assistant", plain))


async def thread_query(fields: Fields, query: ThreadQuery) -> ThreadQuery:
    """Seals a search for threads."""
    values = await fields.wanted("thread", "values", query.values)
    return replace(await fields.query("thread", query), values=values)


async def stale_threads(fields: Fields, kept: Sequence[Thread]) -> list[Thread]:
    """Opens threads to be pruned. One that can't be opened now is left for a later call."""
    opened = await asyncio.gather(*(_stale_thread(fields, one) for one in kept))
    return [thread for thread in opened if thread is not None]


async def _stale_thread(fields: Fields, kept: Thread) -> Thread | None:
    try:
        return await fields.record("thread", kept)
    except EncryptionFailed as failed:
        log.error("thread.unreadable", thread_id=kept.thread_id, reason=str(failed))
        return None


async def new_version(fields: Fields, new: NewVersion) -> NewVersion:
    """Seals a version to be stored."""
    plain = {"metadata": new.metadata, "interrupts": new.interrupts, "description": new.description}
    values = await fields.field("thread", "values", new.values)
    return replace(new, **await fields.sealed("version", plain), values=values)


async def entries(fields: Fields, kept: Sequence[AuditEntry]) -> list[AuditEntry]:
    """Opens entries of a trail; only a run's error is sealed in them."""
    details = await asyncio.gather(*(_details(fields, one.details) for one in kept))
    return [replace(one, details=own) for one, own in zip(kept, details, strict=True)]


async def _details(fields: Fields, kept: Json) -> Json:
    error, changed = kept.get("error"), kept.get("metadata")
    if isinstance(error, str):
        return {**kept, "error": await fields.cipher.open_text("run", "error", error)}
    if isinstance(changed, list):
        return {**kept, "metadata": [name for name in changed if not str(name).startswith(MARK)]}
    return kept


async def archived(fields: Fields, kept: Record) -> Record:
    """Opens the record of a thread that leaves the database."""
    thread, runs, versions = await asyncio.gather(
        fields.opened("thread", kept.thread),
        asyncio.gather(*(fields.opened("run", row) for row in kept.runs)),
        asyncio.gather(*(fields.opened("version", row) for row in kept.versions)),
    )
    audit = [{**row, "details": await _details(fields, row["details"])} for row in kept.audit]
    return Record(thread, runs, versions, audit)


async def arrived(fields: Fields, record: Record) -> Record:
    """Seals the record of a thread that comes into the database. An error repeated in the trail is sealed
    like that of its run."""
    thread, runs, versions, audit = await asyncio.gather(
        fields.sealed("thread", record.thread),
        asyncio.gather(*(fields.sealed("run", row) for row in record.runs)),
        asyncio.gather(*(fields.sealed("version", row) for row in record.versions)),
        asyncio.gather(*(_audited(fields, row) for row in record.audit)),
    )
    return Record(thread, runs, versions, audit)


async def _audited(fields: Fields, row: Json) -> Json:
    error = row["details"].get("error")
    if not isinstance(error, str):
        return row
    return {**row, "details": {**row["details"], "error": await sealed_error(fields, error)}}


async def new_cron(fields: Fields, cron: Cron) -> Cron:
    """Seals a cron to be stored, with the context of its maker for its runs."""
    plain = {name: getattr(cron, name) for name in FIELDS["cron"]}
    return replace(cron, **await cron_changes(fields, plain))


async def cron_changes(fields: Fields, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Seals changed fields of a cron. If what its runs do changes, they get the context of who changed it."""
    sealed = await fields.sealed("cron", changes)
    if sealed.get("payload") is not None:
        sealed["payload"] = carrying_context(sealed["payload"])
    return sealed


async def crons_to_fire(fields: Fields, kept: Sequence[Cron]) -> list[Cron]:
    """Opens crons that are due; each payload has the context to seal its runs with. A cron that can't be
    opened now is left for a later call."""
    opened = await asyncio.gather(*(_cron_to_fire(fields, one) for one in kept))
    return [cron for cron in opened if cron is not None]


async def _cron_to_fire(fields: Fields, kept: Cron) -> Cron | None:
    try:
        cron = await fields.record("cron", kept)
    except EncryptionFailed as failed:
        log.error("cron.unreadable", cron_id=kept.cron_id, reason=str(failed))
        return None
    context = kept.payload.get(CARRIED)
    return replace(cron, payload={**cron.payload, CARRIED: context}) if context else cron
