"""Seals and opens runs, their outcomes and their webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import structlog

from lgs_runtime.encryption.cipher import CARRIED
from lgs_runtime.encryption.context import sealed_will_do
from lgs_runtime.encryption.fields import Fields, carrying_context
from lgs_runtime.errors import EncryptionFailed
from lgs_runtime.model import Enqueued, NewRun, Outcome, Run, Webhook

log = structlog.get_logger(__name__)


async def enqueue(
    fields: Fields, store: Callable[..., Awaitable[Enqueued]], new: NewRun, *more: Any, **named: Any
) -> Enqueued:
    """`Queue.enqueue` with a sealed run; what was just sealed is not opened again."""
    sealed = await new_run(fields, new)
    enqueued = await store(sealed, *more, **named)
    return replace(enqueued, run=await _stored(fields, enqueued.run, new, sealed))


async def enqueue_all(
    fields: Fields,
    store: Callable[..., Awaitable[Sequence[Run]]],
    new: Sequence[NewRun],
    *more: Any,
    **named: Any,
) -> Sequence[Run]:
    """`Queue.enqueue_all`, in the same way as `enqueue`."""
    sealed = await asyncio.gather(*(new_run(fields, one) for one in new))
    stored = await store(sealed, *more, **named)
    return await asyncio.gather(
        *(_stored(fields, run, one, kept) for run, one, kept in zip(stored, new, sealed, strict=True))
    )


async def _stored(fields: Fields, kept: Run, new: NewRun, sealed: NewRun) -> Run:
    """The run as it was asked for, if that is the run that was stored; else the stored one, opened."""
    if (kept.kwargs, kept.metadata) != (sealed.kwargs, sealed.metadata):
        return await run_to_execute(fields, kept)
    known = replace(kept, metadata=new.metadata, kwargs=new.kwargs)
    context = sealed.kwargs.get(CARRIED)
    return replace(known, kwargs={**new.kwargs, "encryption_context": context}) if context else known


async def new_run(fields: Fields, new: NewRun) -> NewRun:
    """Seals a run to be stored, with the context that it is asked for with."""
    cipher = fields.cipher
    metadata, kwargs, created, names, config, scope = await asyncio.gather(
        cipher.seal("run", "metadata", new.metadata),
        cipher.seal("run", "kwargs", new.kwargs),
        cipher.seal("thread", "metadata", new.created_metadata),
        cipher.seal("thread", "metadata", new.thread_metadata),
        fields.field("thread", "config", new.thread_config),
        fields.scope("thread", new.scope),
    )
    return replace(
        new,
        metadata=metadata,
        kwargs=carrying_context(kwargs),
        created_metadata=created,
        thread_metadata=names,
        thread_config=config,
        scope=scope,
        webhook=None if new.webhook is None else await cipher.seal_text("run", "webhook", new.webhook),
    )


async def outcome(fields: Fields, outcome: Outcome) -> Outcome:
    """Seals the end of a run. An error that can't be sealed is replaced by one that says so, since the run
    must end; if its values can't be sealed, `EncryptionFailed` is raised and nothing is changed."""
    answer = outcome.answer
    return replace(
        outcome,
        values=await fields.field("thread", "values", outcome.values),
        answer=None if answer is None else await fields.cipher.seal("thread", "values", answer),
        interrupts=await fields.field("thread", "interrupts", outcome.interrupts),
        error=None if outcome.error is None else await sealed_error(fields, outcome.error),
        thread_metadata=await fields.cipher.seal("thread", "metadata", outcome.thread_metadata)
        if outcome.thread_metadata
        else {},
        run_metadata=await fields.cipher.seal("run", "metadata", outcome.run_metadata)
        if outcome.run_metadata
        else {},
    )


async def sealed_error(fields: Fields, error: str) -> str:
    """The sealed error of a run, or why it can't be sealed."""
    try:
        return await fields.cipher.seal_text("run", "error", error)
    except EncryptionFailed as failed:
        return f"EncryptionFailed: {failed}"


async def run(fields: Fields, kept: Run) -> Run:
    """Opens a run."""
    opened = await fields.record("run", kept)
    if opened.result is not None and not sealed_will_do():
        opened = replace(opened, result=await fields.cipher.open("thread", "values", opened.result))
    return opened


async def runs(fields: Fields, kept: Sequence[Run]) -> list[Run]:
    """Opens runs."""
    return list(await asyncio.gather(*(run(fields, one) for one in kept)))


async def run_to_execute(fields: Fields, kept: Run) -> Run:
    """Opens a run, and adds the context to seal its state with. A run that can't be opened is returned all
    the same, with the reason in its kwargs: it is already claimed, and must come to an end."""
    try:
        opened = await run(fields, kept)
    except EncryptionFailed as failed:
        return replace(kept, kwargs={"unreadable": str(failed)}, metadata={}, result=None, thread_metadata={})
    context = kept.kwargs.get(CARRIED)
    return replace(opened, kwargs={**opened.kwargs, "encryption_context": context}) if context else opened


async def runs_to_execute(fields: Fields, kept: Sequence[Run]) -> list[Run]:
    """Opens runs with `run_to_execute`."""
    return list(await asyncio.gather(*(run_to_execute(fields, one) for one in kept)))


async def webhooks(fields: Fields, kept: Sequence[Webhook]) -> list[Webhook]:
    """Opens webhook calls to be made. One that can't be opened now is left for a later attempt."""
    opened = await asyncio.gather(*(_webhook(fields, one) for one in kept))
    return [webhook for webhook in opened if webhook is not None]


async def _webhook(fields: Fields, kept: Webhook) -> Webhook | None:
    cipher, values = fields.cipher, kept.values
    try:
        return replace(
            kept,
            run=await run(fields, kept.run),
            url=await cipher.open_text("run", "webhook", kept.url),
            values=None if values is None else await cipher.open("thread", "values", values),
        )
    except EncryptionFailed as failed:
        log.error("webhook.unreadable", run_id=kept.run.run_id, reason=str(failed))
        return None
