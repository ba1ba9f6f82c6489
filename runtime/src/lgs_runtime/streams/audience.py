"""Who listens to a thread in this replica, and what each of them has been sent: so that news which ends a
client's listening can wait until its other streams have all that came before.

Promises: `served` returns by itself only when there is a listener, and every listener that there is has been
sent the whole of the run.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Listener:
    """One stream of a thread."""

    def __init__(self, audience: Audience) -> None:
        self._audience = audience
        self.has: set[str] = set()
        """Ids of the runs that it has been sent to their ends."""

    def sent(self, run_id: str) -> None:
        """Says that the client has been sent the whole of a run."""
        self.has.add(run_id)
        self._audience.ring()


class Audience:
    """The listeners of one thread."""

    def __init__(self) -> None:
        self.listeners: set[Listener] = set()
        self.waiting = 0
        self._bell = asyncio.Event()

    def ring(self) -> None:
        """Something has changed."""
        self._bell.set()
        self._bell = asyncio.Event()

    async def served(self, run_id: str) -> None:
        """Waits for a listener, and until all have been sent the run."""
        while not self.listeners or not all(run_id in listener.has for listener in self.listeners):
            await self._bell.wait()


class Audiences:
    """The audiences of a replica, by thread."""

    def __init__(self) -> None:
        self._threads: defaultdict[str, Audience] = defaultdict(Audience)

    @contextmanager
    def joined(self, thread_id: str) -> Iterator[Listener]:
        """A listener of the thread, for as long as it stays."""
        audience = self._threads[thread_id]
        listener = Listener(audience)
        audience.listeners.add(listener)
        try:
            yield listener
        finally:
            audience.listeners.discard(listener)
            audience.ring()
            self._forget(thread_id)

    async def served(self, thread_id: str, run_id: str, seconds: float) -> None:
        """Waits until somebody listens to the thread and all who do have been sent the run, but no longer
        than so many seconds."""
        audience = self._threads[thread_id]
        audience.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await audience.served(run_id)
        except TimeoutError:
            return
        finally:
            audience.waiting -= 1
            self._forget(thread_id)

    def attended(self, thread_id: str) -> bool:
        """Whether somebody listens to the thread here."""
        return thread_id in self._threads and bool(self._threads[thread_id].listeners)

    def _forget(self, thread_id: str) -> None:
        audience = self._threads.get(thread_id)
        if audience is not None and not audience.listeners and not audience.waiting:
            del self._threads[thread_id]
