"""What an event loop is told that nobody has handled."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def faults_of_the_loop() -> Iterator[list[dict[str, Any]]]:
    """Collects them while the context is open. What earlier tests left behind is collected before, and they
    are told to whoever was told before, afterwards."""
    loop = asyncio.get_running_loop()
    gc.collect()
    faults: list[dict[str, Any]] = []
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _loop, fault: faults.append(fault))
    try:
        yield faults
    finally:
        loop.set_exception_handler(before)
