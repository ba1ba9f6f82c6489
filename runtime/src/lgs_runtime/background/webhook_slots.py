"""Limits concurrent webhook calls by host, so that a slow receiver does not delay calls to others.

A host may have about half of the slots that other hosts leave, and a few in any case. When a call ends, the
waiting hosts take turns.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from urllib.parse import urlsplit

FEW = 5
"""How many concurrent calls one host may always have while any slot is free, whatever others use."""


def host_of(url: str) -> str:
    """The host and port of a receiver; the URL itself if it has no host."""
    try:
        parts = urlsplit(url)
        return f"{parts.hostname}:{parts.port or parts.scheme}" if parts.hostname else url
    except ValueError:
        return url


class CallSlots:
    """Slots for concurrent calls, shared among hosts. For one event loop."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._calls: Counter[str] = Counter()
        self._waiters: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def acquire(self, host: str, seconds: float) -> bool:
        """Takes a slot for a call to a host; False if there was none within `seconds`."""
        if host not in self._waiters and self._may_call(host):
            self._calls[host] += 1
            return True
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(host, deque()).append(waiter)
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except BaseException as given_up:
            if waiter.done() and not waiter.cancelled():
                # It was given a slot just before it gave up.
                self.release(host)
            self._drop(host, waiter)
            if isinstance(given_up, TimeoutError):
                return False
            raise
        return True

    def release(self, host: str) -> None:
        """Returns the slot of a call that has ended, and gives free slots to waiting hosts."""
        self._calls[host] -= 1
        self._calls += Counter()
        while (following := self._next()) is not None:
            waiter = self._waiters[following].popleft()
            if waiter.done():
                continue
            self._calls[following] += 1
            self._waiters.move_to_end(following)
            waiter.set_result(None)
            if not self._waiters[following]:
                del self._waiters[following]

    def _next(self) -> str | None:
        """The next host among those that wait and may be called."""
        return next((host for host in self._waiters if self._may_call(host)), None)

    def _may_call(self, host: str) -> bool:
        free = self._size - self._calls.total()
        return free > 0 and self._calls[host] < max(FEW, free)

    def _drop(self, host: str, waiter: asyncio.Future[None]) -> None:
        waiters = self._waiters.get(host)
        if waiters is not None and waiter in waiters:
            waiters.remove(waiter)
        if waiters is not None and not waiters:
            del self._waiters[host]
