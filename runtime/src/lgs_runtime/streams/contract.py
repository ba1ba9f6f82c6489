"""What every stream broker promises: the events of a run, in order, to whoever listens now or comes back
later.

Event ids are opaque to clients and increase within a run: `{epoch}-{sequence}`, where the epoch is the
moment at which the attempt was claimed, in milliseconds of the database's clock. So the events of a later
attempt follow those of an earlier one whatever was lost in between, and a replica that lost its lease can't
write behind its successor: a broker drops what is not later than its last. A broker that fails costs live
events, never a result: `publish` logs and counts, and does not raise.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lgs_runtime.streams.ears import Ear

FROM_START = "-1"
"""`Last-Event-ID` that asks for every event still kept."""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One server-sent event. `data` is encoded JSON, made once by the worker and copied by everyone else."""

    id: str
    event: str
    data: bytes

    @property
    def position(self) -> tuple[int, int]:
        """Where it stands among the events of its run."""
        return position(self.id)

    @property
    def is_end(self) -> bool:
        """Whether the run has ended and nothing follows."""
        return self.event == "end"


def position(event_id: str) -> tuple[int, int]:
    """(epoch, sequence) of an id; `FROM_START` stands before every event. Raises `ValueError` for what is no
    id."""
    if event_id == FROM_START:
        return (-1, 0)
    epoch, _, sequence = event_id.partition("-")
    return int(epoch), int(sequence or 0)


def up_to_end(events: Sequence[StreamEvent]) -> Sequence[StreamEvent]:
    """The events up to the first end of the run, and that one."""
    for place, event in enumerate(events):
        if event.is_end:
            return events[: place + 1]
    return events


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
        self, run_id: str, after: str | None = None, ear: Ear | None = None
    ) -> AsyncGenerator[Sequence[StreamEvent], None]:
        """Events later than the id `after` (`FROM_START`: all that are kept; None: only those to come), then
        live ones; together what has come together, never nothing. Ends after the `end` event, or at once
        when the run ended and nothing is kept; and when there is nothing left to give after `ear.end()`."""

    async def discard(self, run_id: str) -> None:
        """Drops what is kept of a run. Brokers also drop the events of a run by themselves some time after
        its end."""

    async def ping(self) -> None:
        """Raises `ConnectionError` when the broker can't be reached."""

    async def close(self) -> None:
        """Ends every subscription and closes connections."""
