"""Keeps events in the memory of this process, for a replica that is alone; also the fallback for a broken
Redis.

The events of a run are kept until some time after its end, but only the latest ten thousand. The runs that
have ended share a bounded memory: those that ended first are dropped first.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from lgs_runtime.streams.contract import Delivery
from lgs_runtime.streams.events import StreamEvent, position, up_to_end
from lgs_runtime.streams.subscribers import Subscriber

KEEP_SECONDS = 300.0
MOST_EVENTS = 10_000
CLEAN_SECONDS = 5.0
MOST_ENDED_BYTES = 32 * 1024 * 1024
TOPIC_BYTES, EVENT_BYTES = 1500, 250
"""Approximate bytes that a run, and each of its events, takes besides the data."""
ARRIVED = Delivery()
ARRIVED.arrived()


@dataclass(slots=True)
class Topic:
    """The events of one run, and the subscribers that wait for more."""

    events: deque[StreamEvent] = field(default_factory=lambda: deque(maxlen=MOST_EVENTS))
    last: tuple[int, int] = (-1, 0)
    touched: float = 0.0
    ended: bool = False
    subscribers: set[Subscriber] = field(default_factory=set)

    def append(self, events: Sequence[StreamEvent], now: float) -> list[StreamEvent]:
        """Takes the events later than the last one, and notifies the listeners; returns those that it
        took."""
        taken = []
        for event in events:
            place = event.position
            if place <= self.last:
                continue
            self.last = place
            self.ended = event.is_end
            taken.append(event)
        self.events.extend(taken)
        self.touched = now
        self.wake()
        return taken

    def later_than(self, after: tuple[int, int]) -> list[StreamEvent]:
        """The kept events later than a position."""
        found = []
        for event in reversed(self.events):
            if event.position <= after:
                break
            found.append(event)
        found.reverse()
        return found

    @property
    def bytes(self) -> int:
        """Approximate size in memory."""
        return TOPIC_BYTES + sum(EVENT_BYTES + len(event.data) for event in self.events)

    def wake(self) -> None:
        """Notifies the listeners."""
        for subscriber in self.subscribers:
            subscriber.wake()


class MemoryBroker:
    """A `StreamBroker` of one process."""

    def __init__(self, keep_seconds: float = KEEP_SECONDS, most_ended_bytes: int = MOST_ENDED_BYTES) -> None:
        self._topics: dict[str, Topic] = {}
        self._ended: OrderedDict[str, int] = OrderedDict()
        self._ended_bytes = 0
        self._most_ended_bytes = most_ended_bytes
        self._keep_seconds = keep_seconds
        self._cleaned_at = 0.0
        self._closed = False

    def publish(self, run_id: str, events: Sequence[StreamEvent]) -> Delivery:
        """Appends events and notifies the listeners."""
        self.append(run_id, events)
        return ARRIVED

    def append(self, run_id: str, events: Sequence[StreamEvent]) -> list[StreamEvent]:
        """Like `publish`, but returns the events that were taken, which are later than the last one."""
        now = time.monotonic()
        topic = self._topics.get(run_id)
        if topic is None:
            topic = self._topics[run_id] = Topic()
        taken = topic.append(events, now)
        if taken and topic.ended:
            self._keep_ended(run_id, topic.bytes)
        if now - self._cleaned_at > CLEAN_SECONDS:
            self._clean(now)
        return taken

    def later_than(self, run_id: str, after: str) -> list[StreamEvent]:
        """The kept events of a run later than the id `after`."""
        return self.kept(run_id, position(after))

    def kept(self, run_id: str, after: tuple[int, int]) -> list[StreamEvent]:
        """Like `later_than`, for a position."""
        topic = self._topics.get(run_id)
        return topic.later_than(after) if topic else []

    async def subscribe(
        self, run_id: str, after: str | None = None, subscriber: Subscriber | None = None
    ) -> AsyncGenerator[Sequence[StreamEvent], None]:
        """Events later than `after`, then live ones, until the end."""
        topic = self._topics.setdefault(run_id, Topic(touched=time.monotonic()))
        seen = topic.last if after is None else position(after)
        subscriber = subscriber or Subscriber()
        topic.subscribers.add(subscriber)
        try:
            while True:
                if found := up_to_end(topic.later_than(seen)):
                    seen = found[-1].position
                    yield found
                    if found[-1].is_end:
                        return
                elif self._closed or subscriber.over or (topic.ended and topic.last <= seen):
                    return
                else:
                    await subscriber.woken()
        finally:
            topic.subscribers.discard(subscriber)
            if not topic.subscribers and not topic.events and self._topics.get(run_id) is topic:
                del self._topics[run_id]

    async def discard(self, run_id: str) -> None:
        """Forgets a run, and ends its listeners."""
        if (topic := self._forget(run_id)) is not None:
            topic.ended = True
            topic.events.clear()
            topic.last = (-1, 0)
            topic.wake()

    async def ping(self) -> None:
        """Never raises: memory is always there."""

    async def close(self) -> None:
        """Ends every subscription."""
        self._closed = True
        for topic in self._topics.values():
            topic.wake()

    def _clean(self, now: float) -> None:
        self._cleaned_at = now
        old = [
            run_id
            for run_id, topic in self._topics.items()
            if not topic.subscribers and now - topic.touched > self._keep_seconds
        ]
        for run_id in old:
            self._forget(run_id)

    def _keep_ended(self, run_id: str, size: int) -> None:
        """Makes room for a run that has ended. The listeners of a run that is dropped for it still get that
        to its end."""
        self._ended_bytes += size - self._ended.pop(run_id, 0)
        self._ended[run_id] = size
        while self._ended_bytes > self._most_ended_bytes:
            oldest = next(iter(self._ended))
            # A run that has begun again since is not ended, and stays.
            self._forget(oldest, unless_it_runs=True)

    def _forget(self, run_id: str, *, unless_it_runs: bool = False) -> Topic | None:
        self._ended_bytes -= self._ended.pop(run_id, 0)
        topic = self._topics.get(run_id)
        return None if unless_it_runs and topic and not topic.ended else self._topics.pop(run_id, None)
