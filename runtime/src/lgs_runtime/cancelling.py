"""Ending tasks that are cancelled.

A driver may swallow a cancellation that meets it as it connects, or together with its answer: the task then
goes on as if nobody had said anything, and who waits for it waits for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

AGAIN_SECONDS: Final = 0.1


async def cancelled(tasks: Iterable[asyncio.Future[Any]], again_seconds: float = AGAIN_SECONDS) -> None:
    """Cancels tasks, and again where one has not ended after `again_seconds`. Returns when all have ended;
    what they raised is left in them."""
    left = [task for task in tasks if not task.done()]
    while left:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=again_seconds)
        left = [task for task in left if not task.done()]
