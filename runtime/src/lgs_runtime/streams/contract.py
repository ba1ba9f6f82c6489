"""What every stream broker promises: the events of a run, in order, to whoever listens now or comes back
later.

Event ids are opaque to clients and increase within a run: `{epoch}-{sequence}`, where the epoch is the
moment at which the attempt was claimed, in milliseconds of the database's clock. So the events of a later
attempt follow those of an earlier one whatever was lost in between, and a replica that lost its lease can't
write behind its successor: a broker drops what is not later than its last. A broker that fails costs live
events, never a result: `publish` logs and counts, and does not raise.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

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


class StreamBroker(Protocol):
    """Events of runs between the replicas of a service."""

    async def publish(self, run_id: str, events: Sequence[StreamEvent]) -> None:
        """Appends events. The last event of a run is one named `end` (never shown to clients)."""

    def subscribe(self, run_id: str, after: str | None = None) -> AsyncIterator[StreamEvent]:
        """Events later than the id `after` (`FROM_START`: all that are kept; None: only those to come), then
        live ones. Ends after the `end` event, or at once when the run ended and nothing is kept."""

    async def discard(self, run_id: str) -> None:
        """Drops what is kept of a run. Brokers also drop the events of a run by themselves some time after
        its end."""

    async def ping(self) -> None:
        """Raises `ConnectionError` when the broker can't be reached."""

    async def close(self) -> None:
        """Ends every subscription and closes connections."""
