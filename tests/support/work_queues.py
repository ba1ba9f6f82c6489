"""A work queue of the operator that runs while a story is played."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from lgs_operator.kube.workqueue import WorkQueue
from support.ports import PATIENCE_SECONDS


async def played(on: Any, story: Callable[[WorkQueue], Awaitable[None]]) -> None:
    """Plays a story on a queue whose work `on` does, and ends the queue."""
    queue = WorkQueue(on.reconcile, on.crashed)
    running = asyncio.create_task(queue.run())
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await story(queue)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
