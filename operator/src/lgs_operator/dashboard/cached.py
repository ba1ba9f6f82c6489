"""A cache of what was last read, shared by all who look at the page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Generic, TypeVar

from lgs_operator.dashboard.sources import Unread

Item = TypeVar("Item")


class Cached(Generic[Item]):
    """What was last read. It is read again once it is older than `seconds`, once for all who wait, as a page
    asks often. `trouble` says why it can't be read now; then the last value stays."""

    def __init__(self, read: Callable[[], Awaitable[Sequence[Item]]], seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._found: Sequence[Item] = ()
        self._read_at = -inf
        self._lock = asyncio.Lock()
        self.trouble = ""

    async def __call__(self) -> Sequence[Item]:
        async with self._lock:
            if time.monotonic() - self._read_at >= self._seconds:
                try:
                    self._found, self.trouble = await self._read(), ""
                except Unread as error:
                    self.trouble = f"the services can't be read, these were there last: {error}"
                self._read_at = time.monotonic()
            return self._found
