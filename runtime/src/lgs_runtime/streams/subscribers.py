"""The listeners to runs in this process, which are handed events as these are published here.

Listening costs no task: a subscriber is one future while it waits, and nothing otherwise.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lgs_runtime.streams.events import StreamEvent


class Subscriber:
    """One listener. It is woken when there is something for it; one task waits for that."""

    __slots__ = ("_events", "_waiter", "_woken", "over", "wakes")

    def __init__(self) -> None:
        self._events: list[StreamEvent] = []
        self._waiter: asyncio.Future[bool] | None = None
        self._woken = False
        self.over = False
        """Whether nothing more is to come: the listener stops when nothing is left to give."""
        self.wakes = 0
        """How often it was woken with something for it."""

    def deliver(self, events: Sequence[StreamEvent]) -> None:
        """Hands events over to it."""
        self._events.extend(events)
        self.wake()

    def take(self) -> list[StreamEvent]:
        """The events that were handed over since the last call."""
        taken, self._events = self._events, []
        return taken

    @property
    def has_events(self) -> bool:
        """Whether there are events that were handed over and not taken yet."""
        return bool(self._events)

    def wake(self) -> None:
        """Wakes it: there is something to read."""
        self.wakes += 1
        self.recheck()

    def recheck(self) -> None:
        """Wakes it, as something may have been missed; that alone is no sign that more is to come."""
        self._woken = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    def end(self) -> None:
        """Ends it: nothing more is to come."""
        self.over = True
        self.wake()

    def end_when_silent(self, seconds: float) -> None:
        """Ends it when it has not been woken for so many seconds."""
        loop = asyncio.get_running_loop()
        loop.call_later(seconds, self._end_if_silent, seconds, self.wakes)

    def _end_if_silent(self, seconds: float, wakes: int) -> None:
        if self.wakes == wakes:
            self.end()
        elif not self.over:
            self.end_when_silent(seconds)

    async def woken(self, seconds: float | None = None) -> bool:
        """Waits until it is woken, or was since the last call; False if it was not for so many seconds."""
        if not self._woken:
            loop = asyncio.get_running_loop()
            self._waiter = waiter = loop.create_future()
            timer = None if seconds is None else loop.call_later(seconds, _lapse, waiter)
            try:
                await waiter
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
        woken, self._woken = self._woken, False
        return woken


def _lapse(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)


class SubscriberRegistry:
    """The listeners of this process, by what they listen to."""

    def __init__(self) -> None:
        self._by_key: defaultdict[str, set[Subscriber]] = defaultdict(set)

    def __bool__(self) -> bool:
        return bool(self._by_key)

    @contextmanager
    def listening(self, key: str, subscriber: Subscriber | None = None) -> Iterator[Subscriber]:
        """Adds a listener (a new one if none is given) while the context is open."""
        subscriber = subscriber or Subscriber()
        self._by_key[key].add(subscriber)
        try:
            yield subscriber
        finally:
            self._by_key[key].discard(subscriber)
            if not self._by_key[key]:
                del self._by_key[key]

    def deliver(self, key: str, events: Sequence[StreamEvent]) -> None:
        """Hands events to the listeners of a key."""
        for subscriber in self._by_key.get(key, ()):
            subscriber.deliver(events)

    def wake(self, key: str) -> None:
        """Wakes the listeners of a key."""
        for subscriber in self._by_key.get(key, ()):
            subscriber.wake()

    def wake_all(self) -> None:
        """Wakes all listeners."""
        for key in self._by_key:
            self.wake(key)

    def end(self, key: str) -> None:
        """Ends the listeners of a key."""
        for subscriber in self._by_key.get(key, ()):
            subscriber.end()

    def end_all(self) -> None:
        """Ends all listeners."""
        for key in self._by_key:
            self.end(key)
