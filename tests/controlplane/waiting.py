"""Waits for what must become true, and says what was seen when it does not."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from controlplane.controlplane_server import ControlPlane

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


async def established(plane: ControlPlane, definition: str) -> None:
    """Returns when the API server serves the kind of a CustomResourceDefinition. kubectl alone waits for no
    condition of an object that has no status yet."""
    wait = ("wait", "--for=condition=Established", f"crd/{definition}", "--timeout=30s")
    await until(lambda: "condition met" in plane.run(*wait, check=False), f"no {definition}")
