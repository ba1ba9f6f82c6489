"""Tracks who listens to a thread, and which runs each listener has been sent, so that a notification that
ends a client's listening can wait until the client's other streams have all that came before.

Promises: `wait_delivered` waits until there is a listener and each listener has been sent the run, at most
for the given time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Listener:
    """One stream of a thread."""

    def __init__(self, barrier: DeliveryBarrier) -> None:
        self._barrier = barrier
        self.has: set[str] = set()
        """Ids of the runs that it has been sent."""

    def sent(self, run_id: str) -> None:
        """Notes that the client has been sent a run."""
        self.has.add(run_id)
        self._barrier.notify()

    async def wait_delivered(self, run_id: str, seconds: float) -> None:
        """Like `sent`, then waits until all other listeners have been sent the run too, or so many
        seconds."""
        self.sent(run_id)
        await self._barrier.wait_delivered(run_id, seconds)


class DeliveryBarrier:
    """The listeners of one thread, on one connection or in one replica."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._waiting = 0
        self._changed = asyncio.Event()

    @property
    def has_listeners(self) -> bool:
        """Whether somebody listens."""
        return bool(self._listeners)

    @property
    def unused(self) -> bool:
        """Whether nobody listens, and nobody waits for listeners."""
        return not self._listeners and not self._waiting

    @contextmanager
    def joined(self, listener: Listener | None = None) -> Iterator[Listener]:
        """Adds a listener (a new one if none is given) while the context is open."""
        listener = listener or Listener(self)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            self.notify()

    async def wait_delivered(self, run_id: str, seconds: float) -> None:
        """Waits until there is a listener and all listeners have been sent the run, or so many seconds."""
        self._waiting += 1
        try:
            async with asyncio.timeout(seconds):
                while not self._listeners or not all(run_id in listener.has for listener in self._listeners):
                    await self._changed.wait()
        except TimeoutError:
            return
        finally:
            self._waiting -= 1

    def notify(self) -> None:
        """Makes waiters check again, after a change."""
        self._changed.set()
        self._changed = asyncio.Event()


class DeliveryBarriers:
    """The barriers of a replica's threads."""

    def __init__(self) -> None:
        self._threads: defaultdict[str, DeliveryBarrier] = defaultdict(DeliveryBarrier)

    @contextmanager
    def of(self, thread_id: str) -> Iterator[DeliveryBarrier]:
        """The barrier of a thread, kept as long as somebody uses it."""
        barrier = self._threads[thread_id]
        try:
            yield barrier
        finally:
            if barrier.unused and self._threads.get(thread_id) is barrier:
                del self._threads[thread_id]
