"""What every stream broker promises: the events of a run, in order, for listeners now and for those that
come back later.

A broker drops what is not later than the last event of its run. One that fails costs live events, never a
result: `publish` logs and counts, and does not raise.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Generator, Sequence
from typing import Any, Protocol

from lgs_runtime.streams.events import StreamEvent
from lgs_runtime.streams.subscribers import Subscriber


class Delivery:
    """Events on their way. Who awaits it waits until they are where they belong; nobody has to. Many wait for
    one, and none of them ends it by being cancelled."""

    __slots__ = ("_arrived",)

    def __init__(self) -> None:
        self._arrived = asyncio.Event()

    def __await__(self) -> Generator[Any, None, None]:
        if not self._arrived.is_set():
            yield from self._arrived.wait().__await__()

    def arrived(self) -> None:
        """Lets those who wait go on."""
        self._arrived.set()


class StreamBroker(Protocol):
    """Events of runs between the replicas of a service."""

    def publish(self, run_id: str, events: Sequence[StreamEvent]) -> Awaitable[None]:
        """Takes events, those of a run in the order of the calls, and does not wait. What it gives may be
        awaited: until they, and all that were taken for the run before, can be read by everyone. The last
        event of a run is one named `end` (never shown to clients)."""

    def subscribe(
        self, run_id: str, after: str | None = None, subscriber: Subscriber | None = None
    ) -> AsyncGenerator[Sequence[StreamEvent], None]:
        """Events later than the id `after` (`FROM_START`: all that are kept; None: only those to come), then
        live ones; together what has come together, never nothing. Ends after the `end` event, or at once when
        the run ended and nothing is kept; and when there is nothing left to give after `subscriber.end()`."""

    async def discard(self, run_id: str) -> None:
        """Drops what is kept of a run. Brokers also drop the events of a run by themselves some time after
        its end."""

    async def ping(self) -> None:
        """Raises `ConnectionError` when the broker can't be reached."""

    async def close(self) -> None:
        """Ends every subscription and closes connections."""
