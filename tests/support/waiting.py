"""Waits for what must become true, and says what was seen when it does not."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

from support.ports import PATIENCE_SECONDS

LONGEST = PATIENCE_SECONDS
T = TypeVar("T")


@overload
async def until(seen: Callable[[], Awaitable[T | None]], otherwise: Callable[[], str] | str = ...) -> T: ...
@overload
async def until(seen: Callable[[], T | None], otherwise: Callable[[], str] | str = ...) -> T: ...
async def until(seen: Callable[[], Any], otherwise: Callable[[], str] | str = "it did not happen") -> Any:
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
