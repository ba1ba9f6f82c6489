"""Publishes the events of one attempt: numbers and encodes them, and hands them to the broker.

The broker buffers events that arrive faster than it can pass them on. The graph waits only once in a thousand
events, until those before are published.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from typing import Any

from lgs_runtime.metrics import Metrics
from lgs_runtime.model import Run
from lgs_runtime.streams.contract import StreamBroker
from lgs_runtime.streams.events import StreamEvent
from lgs_runtime.streams.json_encoding import encode

MOST_WAITING = 1000


def epoch_of(moment: datetime | None) -> int:
    """The first part of an attempt's event ids: the time of its claim in milliseconds since 1970."""
    return int((moment or datetime.now(UTC)).timestamp() * 1000)


class Publisher:
    """Publishes the events of one attempt; `close` or `end` must be awaited at the end."""

    def __init__(self, broker: StreamBroker, metrics: Metrics, run: Run) -> None:
        self._broker = broker
        self._metrics = metrics
        self._run_id = run.run_id
        self._epoch = epoch_of(run.claimed_at)
        self._sequence = 0
        self._latest: Awaitable[None] | None = None

    async def send(self, event: str, data: Any) -> None:
        """Hands one event to the broker. `data` is encoded at once, since graphs may change it afterwards."""
        self._sequence += 1
        made = StreamEvent(f"{self._epoch}-{self._sequence}", event, encode(data))
        self._latest = self._broker.publish(self._run_id, (made,))
        self._metrics.published(1)
        if self._sequence % MOST_WAITING == 0:
            await self._latest

    async def end(self) -> None:
        """Sends the last event and waits until all are published."""
        await self.send("end", None)
        await self.close()

    async def close(self) -> None:
        """Waits until all that was sent is published."""
        if self._latest is not None:
            await self._latest


async def publish_failure(broker: StreamBroker, run: Run, error: str, message: str) -> None:
    """Ends the stream of a run that ended without a worker, such as one whose attempts were used up."""
    epoch = epoch_of(run.updated_at)
    events: Sequence[StreamEvent] = (
        StreamEvent(f"{epoch}-1", "error", encode({"error": error, "message": message})),
        StreamEvent(f"{epoch}-2", "end", b"null"),
    )
    await broker.publish(run.run_id, events)
