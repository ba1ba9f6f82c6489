"""Waits for what must become true, and says what was seen when it does not."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

LONGEST = 120.0
T = TypeVar("T")


async def until(
    seen: Callable[[], T | Awaitable[T]], otherwise: Callable[[], str] | str = "it did not happen"
) -> T:
    """The first true value that `seen` gives."""
    end = time.monotonic() + LONGEST
    last: Any = None
    while time.monotonic() < end:
        last = seen()
        if inspect.isawaitable(last):
            last = await last
        if last:
            return last
        await asyncio.sleep(0.05)
    words = otherwise() if callable(otherwise) else otherwise
    raise AssertionError(f"{words}; last seen: {last!r}")
