"""An event of a run's stream, and its position among the others.

Event ids are opaque to clients and increase within a run: `{epoch}-{sequence}`, where the epoch is the time
at which the attempt was claimed, in milliseconds of the database's clock. So the events of a later attempt
follow those of an earlier one whatever was lost in between, and a replica that lost its lease can't append
after its successor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
        """Its position among the events of its run: (epoch, sequence)."""
        return position(self.id)

    @property
    def is_end(self) -> bool:
        """Whether this event ends the run, so that nothing follows."""
        return self.event == "end"


def position(event_id: str) -> tuple[int, int]:
    """(epoch, sequence) of an id; `FROM_START` is before every event. Raises `ValueError` for a text that is
    no id."""
    if event_id == FROM_START:
        return (-1, 0)
    epoch, _, sequence = event_id.partition("-")
    return int(epoch), int(sequence or 0)


def up_to_end(events: Sequence[StreamEvent]) -> Sequence[StreamEvent]:
    """The events up to and with the first end of the run; all if there is none."""
    for place, event in enumerate(events):
        if event.is_end:
            return events[: place + 1]
    return events
