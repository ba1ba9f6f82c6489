"""What every stream broker promises: the events of a run, in order, for listeners now and for those that
come back later.

A broker drops an event that is not later than the last one of its run. A broker that fails costs live events,
never a result: `publish` logs and counts the failure, and does not raise.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Generator, Sequence
from typing import Any, Protocol

from lgs_runtime.streams.events import StreamEvent
from lgs_runtime.streams.subscribers import Subscriber


class Delivery:
    """Events on their way. Awaiting a delivery waits until they are where they belong; nobody has to. Many
    may await one delivery, and cancelling one of them does not end it for the others."""

    __slots__ = ("_arrived",)

    def __init__(self) -> None:
        self._arrived = asyncio.Event()

    def __await__(self) -> Generator[Any, None, None]:
        if not self._arrived.is_set():
            yield from self._arrived.wait().__await__()

    def arrived(self) -> None:
        """Completes the delivery: all who await it go on."""
        self._arrived.set()


class StreamBroker(Protocol):
    """Passes the events of runs between the replicas of a service."""

    def publish(self, run_id: str, events: Sequence[StreamEvent]) -> Awaitable[None]:
        """Takes events without waiting; those of a run keep the order of the calls. The result may be
        awaited: it completes when everyone can read these events, and all that were taken before for the run.
        The last event of a run is named `end` (never shown to clients)."""

    def subscribe(
        self, run_id: str, after: str | None = None, subscriber: Subscriber | None = None
    ) -> AsyncGenerator[Sequence[StreamEvent], None]:
        """Events later than the id `after` (`FROM_START`: all that are kept; None: only those to come), then
        live ones. Each item has the events that came together, at least one. Ends after the `end` event, or
        at once if the kept `end` event is not later than `after`; and after `subscriber.end()`, when nothing
        is left to give."""

    async def discard(self, run_id: str) -> None:
        """Drops the kept events of a run. Brokers also do that by themselves some time after the run's
        end."""

    async def ping(self) -> None:
        """Raises `ConnectionError` when the broker can't be reached."""

    async def close(self) -> None:
        """Ends every subscription and closes connections."""
