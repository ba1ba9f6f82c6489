"""Which fields of the model are kept sealed: the values of the contract, plain on one side and as kept on the
other. Names of assistants, users, groups, schedules and statuses stay plain: the databases look at them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

import structlog

from lgs_runtime.encryption.cipher import CARRIED, MARK, Cipher
from lgs_runtime.encryption.context import encryption_context, sealed_will_do
from lgs_runtime.errors import EncryptionFailed
from lgs_runtime.model import (
    Assistant,
    AuditEntry,
    Cron,
    Json,
    NewRun,
    Outcome,
    Run,
    Scope,
    Thread,
    Version,
    Webhook,
)
from lgs_runtime.storage.archives import Record
from lgs_runtime.storage.histories import NewVersion
from lgs_runtime.storage.queries import AssistantQuery, CronQuery, RunQuery, ThreadQuery

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "assistant": ("config", "context", "metadata"),
    "thread": ("metadata", "config", "values", "interrupts"),
    "run": ("metadata", "kwargs", "thread_metadata"),
    "version": ("metadata", "interrupts"),
    "cron": ("payload", "metadata", "caller"),
}
"""Objects, by the model's name."""
TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "thread": ("error",),
    "run": ("error",),
    "version": ("description",),
}
"""Texts that the application, or its user, has written."""
ELSEWHERE: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("run", "thread_metadata"): ("thread", "metadata")
}
"""What the database has copied as it was sealed: by its place, where it stood."""
_Value = TypeVar("_Value")
_Kept = TypeVar("_Kept", Assistant, Thread, Run, Version, Cron)
_Query = TypeVar("_Query", AssistantQuery, ThreadQuery, RunQuery, CronQuery)
log = structlog.get_logger(__name__)


class Fields:
    """Seals and opens the values of the contract. All methods raise `EncryptionFailed`."""

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher

    async def sealed(self, model: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of a record as they are kept: those that are there and not None."""
        return await self._each(model, values, self._cipher.seal, self._cipher.seal_text)

    async def opened(self, model: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of a record as they were."""
        return await self._each(model, values, self._cipher.open, self._cipher.open_text)

    async def _each(
        self,
        model: str,
        values: Mapping[str, Any],
        document: Callable[[str, str, Json], Awaitable[Any]],
        text: Callable[[str, str, str], Awaitable[Any]],
    ) -> dict[str, Any]:
        work: dict[str, Awaitable[Any]] = {}
        for kind, names in ((document, FIELDS.get(model, ())), (text, TEXTS.get(model, ()))):
            call: Any = kind
            for name in names:
                if values.get(name) is not None:
                    work[name] = call(*ELSEWHERE.get((model, name), (model, name)), values[name])
        made = await asyncio.gather(*work.values())
        return {**values, **dict(zip(work, made, strict=True))}

    async def record(self, model: str, kept: _Kept) -> _Kept:
        """A record as it was; one that can't be opened as it is kept, where that will do."""
        names = (*FIELDS[model], *TEXTS.get(model, ()))
        try:
            return replace(kept, **await self.opened(model, {name: getattr(kept, name) for name in names}))
        except EncryptionFailed:
            if not sealed_will_do():
                raise
            return kept

    async def records(self, model: str, kept: Sequence[_Kept]) -> list[_Kept]:
        """Records as they were."""
        return list(await asyncio.gather(*(self.record(model, one) for one in kept)))

    async def run(self, kept: Run) -> Run:
        """A run as it was. Its kwargs carry the context for whoever executes it."""
        run = await self.record("run", kept)
        if run.result is not None and not sealed_will_do():
            run = replace(run, result=await self._cipher.open("thread", "values", run.result))
        return run

    async def runs(self, kept: Sequence[Run]) -> list[Run]:
        """Runs as they were."""
        return list(await asyncio.gather(*(self.run(one) for one in kept)))

    async def run_to_execute(self, kept: Run) -> Run:
        """A run as it was, with the context to seal its state with. One that can't be opened is given out
        all the same, and says why in its kwargs: it is held already, and must come to an end."""
        try:
            run = await self.run(kept)
        except EncryptionFailed as failed:
            return replace(
                kept, kwargs={"unreadable": str(failed)}, metadata={}, result=None, thread_metadata={}
            )
        context = kept.kwargs.get(CARRIED)
        return replace(run, kwargs={**run.kwargs, "encryption_context": context}) if context else run

    async def runs_to_execute(self, kept: Sequence[Run]) -> list[Run]:
        """Runs as `run_to_execute` gives them."""
        return list(await asyncio.gather(*(self.run_to_execute(one) for one in kept)))

    async def new_run(self, new: NewRun) -> NewRun:
        """A run to be kept; the context that it is asked for with goes along."""
        metadata, kwargs, created, names, config, scope = await asyncio.gather(
            self._cipher.seal("run", "metadata", new.metadata),
            self._cipher.seal("run", "kwargs", new.kwargs),
            self._cipher.seal("thread", "metadata", new.created_metadata),
            self._cipher.seal("thread", "metadata", new.thread_metadata),
            self._config(new.thread_config),
            self.scope("thread", new.scope),
        )
        return replace(
            new,
            metadata=metadata,
            kwargs=carrying_context(kwargs),
            created_metadata=created,
            thread_metadata=names,
            thread_config=config,
            scope=scope,
            webhook=None if new.webhook is None else await self.url(new.webhook),
        )

    async def _config(self, config: Json | None) -> Json | None:
        return None if config is None else await self._cipher.seal("thread", "config", config)

    async def url(self, url: str) -> str:
        """The receiver of a webhook, whose address may hold a secret."""
        return await self._cipher.seal_text("run", "webhook", url)

    async def outcome(self, outcome: Outcome) -> Outcome:
        """The end of a run. An error that can't be sealed is replaced by one that says so, since the run
        must end."""
        values, interrupts, answer = outcome.values, outcome.interrupts, outcome.answer
        return replace(
            outcome,
            values=None if values is None else await self._cipher.seal("thread", "values", values),
            answer=None if answer is None else await self._cipher.seal("thread", "values", answer),
            interrupts=None
            if interrupts is None
            else await self._cipher.seal("thread", "interrupts", interrupts),
            error=None if outcome.error is None else await self._error(outcome.error),
            thread_metadata=await self._cipher.seal("thread", "metadata", outcome.thread_metadata)
            if outcome.thread_metadata
            else {},
        )

    async def _error(self, error: str) -> str:
        try:
            return await self._cipher.seal_text("run", "error", error)
        except EncryptionFailed as failed:
            return f"EncryptionFailed: {failed}"

    async def webhook(self, kept: Webhook) -> Webhook | None:
        """A call to be made; None when it can't be opened now, and must be tried again."""
        try:
            values = kept.values
            return replace(
                kept,
                run=await self.run(kept.run),
                url=await self._cipher.open_text("run", "webhook", kept.url),
                values=None if values is None else await self._cipher.open("thread", "values", values),
            )
        except EncryptionFailed as failed:
            log.error("webhook.unreadable", run_id=kept.run.run_id, reason=str(failed))
            return None

    async def cron_to_fire(self, kept: Cron) -> Cron | None:
        """A cron that is due, its payload with the context to seal its runs with; None when it can't be
        opened now, and must be tried again."""
        try:
            cron = await self.record("cron", kept)
        except EncryptionFailed as failed:
            log.error("cron.unreadable", cron_id=kept.cron_id, reason=str(failed))
            return None
        context = kept.payload.get(CARRIED)
        return replace(cron, payload={**cron.payload, CARRIED: context}) if context else cron

    async def stale_thread(self, kept: Thread) -> Thread | None:
        """A thread that is to be thinned; None when it can't be opened now."""
        try:
            return await self.record("thread", kept)
        except EncryptionFailed as failed:
            log.error("thread.unreadable", thread_id=kept.thread_id, reason=str(failed))
            return None

    async def new_version(self, new: NewVersion) -> NewVersion:
        """A version to be kept."""
        made = await self.sealed(
            "version",
            {"metadata": new.metadata, "interrupts": new.interrupts, "description": new.description},
        )
        values = new.values
        return replace(
            new,
            **made,
            values=None if values is None else await self._cipher.seal("thread", "values", values),
        )

    async def entry(self, kept: AuditEntry) -> AuditEntry:
        """An entry of the trail; the error of a run is all in it that is sealed."""
        return replace(kept, details=await self.details(kept.details))

    async def details(self, kept: Json) -> Json:
        """What an entry of the trail tells."""
        error, changed = kept.get("error"), kept.get("metadata")
        if isinstance(error, str):
            return {**kept, "error": await self._cipher.open_text("run", "error", error)}
        if isinstance(changed, list):
            return {**kept, "metadata": [name for name in changed if not str(name).startswith(MARK)]}
        return kept

    async def archived(self, kept: Record) -> Record:
        """The record of a thread that leaves the database: plain."""
        thread, runs, versions = await asyncio.gather(
            self.opened("thread", kept.thread),
            asyncio.gather(*(self.opened("run", row) for row in kept.runs)),
            asyncio.gather(*(self.opened("version", row) for row in kept.versions)),
        )
        audit = [{**row, "details": await self.details(row["details"])} for row in kept.audit]
        return Record(thread, runs, versions, audit)

    async def arrived(self, record: Record) -> Record:
        """The record of a thread that comes into the database. An error that the trail repeats is sealed
        like that of its run."""
        thread, runs, versions, audit = await asyncio.gather(
            self.sealed("thread", record.thread),
            asyncio.gather(*(self.sealed("run", row) for row in record.runs)),
            asyncio.gather(*(self.sealed("version", row) for row in record.versions)),
            asyncio.gather(*(self._audited(row) for row in record.audit)),
        )
        return Record(thread, runs, versions, audit)

    async def _audited(self, row: Json) -> Json:
        error = row["details"].get("error")
        if not isinstance(error, str):
            return row
        return {**row, "details": {**row["details"], "error": await self._error(error)}}

    async def wanted(self, model: str, field: str, document: Json | None) -> Json | None:
        """What a search looks for, as it would be kept."""
        return await self._cipher.wanted(model, field, document)

    async def assistant_query(self, query: AssistantQuery) -> AssistantQuery:
        """A search for assistants, as they are kept."""
        return await self._query("assistant", "assistant", query)

    async def thread_query(self, query: ThreadQuery) -> ThreadQuery:
        """A search for threads, as they are kept."""
        values = await self.wanted("thread", "values", query.values)
        return replace(await self._query("thread", "thread", query), values=values)

    async def run_query(self, query: RunQuery) -> RunQuery:
        """A search for runs, as they are kept; their scope is that of their threads."""
        return await self._query("run", "thread", query)

    async def cron_query(self, query: CronQuery) -> CronQuery:
        """A search for crons, as they are kept."""
        return await self._query("cron", "cron", query)

    async def _query(self, model: str, within: str, query: _Query) -> _Query:
        metadata = await self.wanted(model, "metadata", query.metadata)
        return replace(query, metadata=metadata, scope=await self.scope(within, query.scope))

    async def scope(self, model: str, scope: Scope | None) -> Scope | None:
        """What a caller may touch: records that were stored before there was encryption, and those sealed."""
        if scope is None:
            return None
        sealed = [await self._cipher.wanted(model, "metadata", document) or {} for document in scope.any_of]
        return Scope((*scope.any_of, *(one for one in sealed if one not in scope.any_of)))


def carrying_context(document: Json) -> dict[str, Any]:
    """The document with the context of this task, for those that go on with it."""
    context = encryption_context()
    return {**document, CARRIED: context} if context else dict(document)
