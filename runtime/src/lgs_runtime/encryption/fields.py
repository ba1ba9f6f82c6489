"""Which fields of the model are sealed. Names of assistants, users, groups, schedules and statuses stay
plain: the databases search by them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from lgs_runtime.encryption.cipher import CARRIED, Cipher
from lgs_runtime.encryption.context import encryption_context, sealed_will_do
from lgs_runtime.errors import EncryptionFailed
from lgs_runtime.model import Assistant, Cron, Json, Run, Scope, Thread, Version
from lgs_runtime.storage.queries import AssistantQuery, CronQuery, RunQuery, ThreadQuery

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "assistant": ("config", "context", "metadata"),
    "thread": ("metadata", "config", "values", "interrupts"),
    "run": ("metadata", "kwargs", "thread_metadata"),
    "version": ("metadata", "interrupts"),
    "cron": ("payload", "metadata", "caller"),
}
"""Fields that hold objects, by the model's name."""
TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "thread": ("error",),
    "run": ("error",),
    "version": ("description",),
}
"""Fields that hold texts written by the application or its user."""
ELSEWHERE: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("run", "thread_metadata"): ("thread", "metadata"),
    ("thread", "error"): ("run", "error"),
    ("version", "interrupts"): ("thread", "interrupts"),
}
"""Fields that the database has copied in sealed form: where the copy is, and where it was sealed."""
_Kept = TypeVar("_Kept", Assistant, Thread, Run, Version, Cron)
_Query = TypeVar("_Query", AssistantQuery, ThreadQuery, RunQuery, CronQuery)


class Fields:
    """Seals and opens fields of records. All methods raise `EncryptionFailed`."""

    def __init__(self, cipher: Cipher) -> None:
        self.cipher = cipher

    async def sealed(self, model: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Seals the fields of a record that are present and not None."""
        return await self._each(model, values, self.cipher.seal, self.cipher.seal_text)

    async def opened(self, model: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Opens the fields of a record."""
        return await self._each(model, values, self.cipher.open, self.cipher.open_text)

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

    async def field(self, model: str, name: str, value: Any) -> Any:
        """Seals one field of a record; None stays None."""
        return (await self.sealed(model, {name: value}))[name]

    async def record(self, model: str, kept: _Kept) -> _Kept:
        """Opens a record. One that can't be opened is returned sealed, if the task accepts that
        (`sealed_will_do`)."""
        names = (*FIELDS[model], *TEXTS.get(model, ()))
        try:
            return replace(kept, **await self.opened(model, {name: getattr(kept, name) for name in names}))
        except EncryptionFailed:
            if not sealed_will_do():
                raise
            return kept

    async def records(self, model: str, kept: Sequence[_Kept]) -> list[_Kept]:
        """Opens records."""
        return list(await asyncio.gather(*(self.record(model, one) for one in kept)))

    async def wanted(self, model: str, field: str, document: Json | None) -> Json | None:
        """Seals the value that is searched for."""
        return await self.cipher.wanted(model, field, document)

    async def query(self, model: str, query: _Query, *, within: str | None = None) -> _Query:
        """Seals a search for records; its scope is that of the model `within`, if not the records' own."""
        metadata = await self.wanted(model, "metadata", query.metadata)
        return replace(query, metadata=metadata, scope=await self.scope(within or model, query.scope))

    async def scope(self, model: str, scope: Scope | None) -> Scope | None:
        """The scope of a caller, for plain records (stored before there was encryption) and for sealed
        ones."""
        if scope is None:
            return None
        sealed = [await self.cipher.wanted(model, "metadata", document) or {} for document in scope.any_of]
        return Scope((*scope.any_of, *(one for one in sealed if one not in scope.any_of)))


def carrying_context(document: Json) -> dict[str, Any]:
    """The document with this task's context added, for those that continue with it."""
    context = encryption_context()
    return {**document, CARRIED: context} if context else dict(document)
