"""Cancels tasks until they have ended.

A database driver may swallow a cancellation that arrives while it connects, or together with an answer. The
task then continues as if it had not been cancelled, and whoever awaits it would wait for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

AGAIN_SECONDS: Final = 0.1


async def cancelled(tasks: Iterable[asyncio.Future[Any]], again_seconds: float = AGAIN_SECONDS) -> None:
    """Cancels tasks, and cancels those again that have not ended after `again_seconds`. Returns when all have
    ended; their exceptions stay in them."""
    left = [task for task in tasks if not task.done()]
    while left:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=again_seconds)
        left = [task for task in left if not task.done()]
