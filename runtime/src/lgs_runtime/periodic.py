"""What a replica does again and again beside its work, each time at a moment of its own.

A failure is reported and the work is done again: a reaper or a scheduler that stopped for good would be
missing for all that rely on it, while the replica appears ready.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

from lgs_runtime.cancelling import cancelled
from lgs_runtime.checkpoint.failures import from_persistence

log = structlog.get_logger(__name__)


async def repeatedly(
    name: str,
    turn: Callable[[], Awaitable[object]],
    seconds: float,
    *,
    at_once: bool = True,
    spread: float = 0.2,
) -> None:
    """Takes a turn every `seconds`, by up to `spread` of them sooner or later so that replicas don't do it
    together; the first one `at_once`, or after a pause. Ends by cancellation alone."""
    waits = not at_once
    while True:
        if waits:
            await asyncio.sleep(seconds * random.uniform(1 - spread, 1 + spread))
        waits = True
        try:
            await turn()
        # Whatever it was, the next turn may do better; the log has what nobody thought of.
        except Exception as failed:  # noqa: BLE001
            log_failure(name, failed)


def log_failure(name: str, failed: BaseException) -> None:
    """Writes down what went wrong in a duty: the database's absence in a line, all else with its
    traceback."""
    if from_persistence(failed):
        log.warning(f"{name}.failed", reason=str(failed))
    else:
        log.error(f"{name}.failed", exc_info=failed)


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """A task that lives as long as the context."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_log_failure)
    try:
        yield
    finally:
        # Long enough for what a turn has to put in order, such as a connection of the database.
        await cancelled([task], again_seconds=1.0)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (raised := task.exception()) is not None:
        log.error("task.failed", task=task.get_name(), exc_info=raised)
