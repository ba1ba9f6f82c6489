"""Events in the memory of this process, for a replica that is alone; also what a broken Redis falls back to.

Keeps the events of a run until some time after its end, and the latest ten thousand of a run at most.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from lgs_runtime.streams.contract import StreamEvent, position

KEEP_SECONDS = 300.0
MOST_EVENTS = 10_000
CLEAN_SECONDS = 5.0


@dataclass(slots=True)
class Topic:
    """The events of one run, and a bell for those who wait for more."""

    events: deque[StreamEvent] = field(default_factory=lambda: deque(maxlen=MOST_EVENTS))
    last: tuple[int, int] = (-1, 0)
    touched: float = 0.0
    ended: bool = False
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    listeners: int = 0

    def append(self, events: Sequence[StreamEvent], now: float) -> list[StreamEvent]:
        """Takes what is later than the last, and rings; gives what it took."""
        taken = []
        for event in events:
            if event.position <= self.last:
                continue
            self.last = event.position
            self.ended = event.is_end
            taken.append(event)
        self.events.extend(taken)
        self.touched = now
        self.ring()
        return taken

    def later_than(self, after: tuple[int, int]) -> list[StreamEvent]:
        """The kept events later than a position."""
        if not self.events or self.events[-1].position <= after:
            return []
        return [event for event in self.events if event.position > after]

    def ring(self) -> None:
        """Wakes the listeners."""
        self.bell.set()
        self.bell = asyncio.Event()


class MemoryBroker:
    """A `StreamBroker` of one process."""

    def __init__(self, keep_seconds: float = KEEP_SECONDS) -> None:
        self._topics: dict[str, Topic] = {}
        self._keep_seconds = keep_seconds
        self._cleaned_at = 0.0
        self._closed = False

    async def publish(self, run_id: str, events: Sequence[StreamEvent]) -> None:
        """Appends events and wakes the listeners."""
        self.append(run_id, events)

    def append(self, run_id: str, events: Sequence[StreamEvent]) -> list[StreamEvent]:
        """As `publish`; gives the events that were not overtaken."""
        now = time.monotonic()
        taken = self._topics.setdefault(run_id, Topic()).append(events, now)
        if now - self._cleaned_at > CLEAN_SECONDS:
            self._clean(now)
        return taken

    def later_than(self, run_id: str, after: str) -> list[StreamEvent]:
        """The events that are kept of a run later than the id `after`."""
        topic = self._topics.get(run_id)
        return topic.later_than(position(after)) if topic else []

    async def subscribe(self, run_id: str, after: str | None = None) -> AsyncIterator[StreamEvent]:
        """Events later than `after`, then live ones, until the end."""
        topic = self._topics.setdefault(run_id, Topic(touched=time.monotonic()))
        seen = topic.last if after is None else position(after)
        topic.listeners += 1
        try:
            while not self._closed:
                bell = topic.bell
                for event in topic.later_than(seen):
                    seen = event.position
                    yield event
                    if event.is_end:
                        return
                if topic.ended and topic.last <= seen:
                    return
                if bell is topic.bell:
                    await bell.wait()
        finally:
            topic.listeners -= 1
            if not topic.listeners and not topic.events and self._topics.get(run_id) is topic:
                del self._topics[run_id]

    async def discard(self, run_id: str) -> None:
        """Forgets a run; its listeners end."""
        if (topic := self._topics.pop(run_id, None)) is not None:
            topic.ended = True
            topic.events.clear()
            topic.last = (-1, 0)
            topic.ring()

    async def ping(self) -> None:
        """Always there."""

    async def close(self) -> None:
        """Ends every subscription."""
        self._closed = True
        for topic in self._topics.values():
            topic.ring()

    def _clean(self, now: float) -> None:
        self._cleaned_at = now
        old = [
            run_id
            for run_id, topic in self._topics.items()
            if not topic.listeners and now - topic.touched > self._keep_seconds
        ]
        for run_id in old:
            del self._topics[run_id]
