"""A stream broker around another one: seals the data of events, but not their names and ids.

Like any broker's, its `publish` does not raise: an event that can't be sealed is dropped, and the run's
result is taken from the storage. In place of an event that can't be opened, an `error` event is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import structlog

from lgs_runtime.encryption.cipher import Cipher
from lgs_runtime.errors import EncryptionFailed
from lgs_runtime.streams.contract import StreamBroker
from lgs_runtime.streams.events import StreamEvent
from lgs_runtime.streams.json_encoding import encode
from lgs_runtime.streams.subscribers import Subscriber

log = structlog.get_logger(__name__)


class EncryptedBroker:
    """A `StreamBroker`. `failed` is called for each batch in which an event could not be sealed."""

    def __init__(self, inner: StreamBroker, cipher: Cipher, failed: Callable[[], None]) -> None:
        self._inner = inner
        self._cipher = cipher
        self._failed = failed
        self._waiting: dict[str, list[StreamEvent]] = {}
        self._sealing: dict[str, asyncio.Task[None]] = {}

    def publish(self, run_id: str, events: Sequence[StreamEvent]) -> Awaitable[None]:
        self._waiting.setdefault(run_id, []).extend(events)
        if run_id not in self._sealing:
            self._sealing[run_id] = asyncio.create_task(self._seal(run_id))
        return _Sealed(self._sealing[run_id])

    async def _seal(self, run_id: str) -> None:
        """Seals a run's waiting events and passes them on, until none waits."""
        try:
            while events := self._waiting.pop(run_id, None):
                sealed = await asyncio.gather(*map(self._sealed, events))
                kept = [event for event in sealed if event is not None]
                if len(kept) < len(events):
                    self._failed()
                if kept:
                    await self._inner.publish(run_id, kept)
        finally:
            del self._sealing[run_id]

    async def subscribe(
        self, run_id: str, after: str | None = None, subscriber: Subscriber | None = None
    ) -> AsyncGenerator[Sequence[StreamEvent], None]:
        async with aclosing(self._inner.subscribe(run_id, after, subscriber)) as source:
            async for events in source:
                yield await asyncio.gather(*map(self._opened, events))

    async def discard(self, run_id: str) -> None:
        await self._inner.discard(run_id)

    async def ping(self) -> None:
        await self._inner.ping()

    async def close(self) -> None:
        await self._inner.close()

    async def _sealed(self, event: StreamEvent) -> StreamEvent | None:
        if event.is_end:
            return event
        try:
            return replace(event, data=await self._cipher.seal_bytes("run", "events", event.data))
        except EncryptionFailed as failed:
            log.warning("streams.not_sealed", reason=str(failed))
            return None

    async def _opened(self, event: StreamEvent) -> StreamEvent:
        try:
            return replace(event, data=await self._cipher.open_bytes("run", "events", event.data))
        except EncryptionFailed as failed:
            said = {"error": "EncryptionFailed", "message": str(failed)}
            return replace(event, event="error", data=encode(said))


class _Sealed:
    """Lets several callers wait for the end of a task; none of them cancels it by being cancelled."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def __await__(self) -> Generator[Any, None, None]:
        yield from asyncio.wait({self._task}).__await__()
