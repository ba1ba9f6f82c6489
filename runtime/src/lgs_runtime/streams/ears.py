"""Who listens to a run in this process: events are handed to them as they are published here."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lgs_runtime.streams.contract import StreamEvent


class Ear:
    """One listener. `news` is set when it has events, or `over`; others may set it too."""

    __slots__ = ("events", "news", "over")

    def __init__(self) -> None:
        self.events: deque[StreamEvent] = deque()
        self.news = asyncio.Event()
        self.over = False

    async def silent(self, seconds: float) -> bool:
        """Waits for news; whether there were none for so long."""
        if self.events or self.over:
            return False
        try:
            async with asyncio.timeout(seconds):
                await self.news.wait()
        except TimeoutError:
            return True
        return False


class Ears:
    """The listeners of this process by what they listen to."""

    def __init__(self) -> None:
        self._by_key: defaultdict[str, set[Ear]] = defaultdict(set)

    @contextmanager
    def listening(self, key: str) -> Iterator[Ear]:
        """A listener, while the context is open."""
        ear = Ear()
        self._by_key[key].add(ear)
        try:
            yield ear
        finally:
            self._by_key[key].discard(ear)
            if not self._by_key[key]:
                del self._by_key[key]

    def hear(self, key: str, events: Sequence[StreamEvent]) -> None:
        """Hands events to those who listen."""
        for ear in self._by_key.get(key, ()):
            ear.events.extend(events)
            ear.news.set()

    def end(self, key: str) -> None:
        """Ends the listeners of a key."""
        for ear in self._by_key.get(key, ()):
            ear.over = True
            ear.news.set()

    def end_all(self) -> None:
        """Ends all listeners."""
        for key in list(self._by_key):
            self.end(key)
