"""Runs periodic background work of a replica, with jitter between the turns.

A failure is logged and the work is repeated: a reaper or scheduler that stopped for good would be missing
although the replica appears ready.
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
    """Takes a turn every `seconds`, each pause randomly longer or shorter by up to the share `spread` so that
    replicas don't act together. The first turn is `at_once`, or after a pause. Ends only by cancellation."""
    waits = not at_once
    while True:
        if waits:
            await asyncio.sleep(seconds * random.uniform(1 - spread, 1 + spread))
        waits = True
        try:
            await turn()
        # Whatever failed, the next turn may succeed; the log has errors that nobody thought of.
        except Exception as failed:  # noqa: BLE001
            log_failure(name, failed)


def log_failure(name: str, failed: BaseException) -> None:
    """Logs a failure of a duty: in one line if the database can't be reached, else with the traceback."""
    if from_persistence(failed):
        log.warning(f"{name}.failed", reason=str(failed))
    else:
        log.error(f"{name}.failed", reason=repr(failed), exc_info=failed)


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Runs `work` in a task that lives as long as the context."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_log_failure)
    try:
        yield
    finally:
        # Long enough for a turn to clean up, such as a database connection.
        await cancelled([task], again_seconds=1.0)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (raised := task.exception()) is not None:
        log.error("task.failed", task=task.get_name(), exc_info=raised)
