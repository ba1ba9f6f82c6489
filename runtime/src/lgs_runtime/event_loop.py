"""Runs a replica's event loop, which only the replica itself ends.

asyncio re-raises a SystemExit or KeyboardInterrupt of any task out of the loop: a node that calls `sys.exit`
would end the replica and the runs of all users. Here it ends only its own task and run, as that task's
exception.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import structlog
import uvloop

EXITS: Final = (SystemExit, KeyboardInterrupt)
"""Exceptions that ask the program to end. A replica is asked by signals, which have their own handlers."""
RAISED: Final = BaseException
"""What application code may raise: `SystemExit` from a factory, a cancellation that nobody requested, the
panic of an extension written in Rust, or a group of those. Code that catches it asks `is_cancelled` first."""
T = TypeVar("T")
log = structlog.get_logger(__name__)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs `work` and returns its result, or raises its exception. The loop is left open on purpose: closing
    it waits for threads, and a node whose run was handed back may still occupy one."""
    loop = uvloop.new_event_loop()
    task = loop.create_task(work)
    while True:
        try:
            return loop.run_until_complete(task)
        except EXITS as asked:
            if task.done():
                raise
            log.error("task.asked_to_exit", error=type(asked).__name__, message=str(asked), exc_info=asked)


def is_cancelled(raised: BaseException) -> bool:
    """Whether `raised` is a requested cancellation of the current task, or a coroutine that is discarded
    after its loop has ended."""
    if isinstance(raised, GeneratorExit):
        return asyncio._get_running_loop() is None
    if not isinstance(raised, asyncio.CancelledError):
        return False
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
