"""The life of a replica's event loop: only what the replica itself does ends it.

asyncio takes a SystemExit or a KeyboardInterrupt that a task raises out of the loop, whosever task it is: a
node that calls `sys.exit` would end the replica, with everybody's runs. It is the end of its task, whose
exception it is, and of its run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import structlog
import uvloop

EXITS: Final = (SystemExit, KeyboardInterrupt)
"""What asks the program to end. A replica is asked by signals, which have handlers of their own."""
RAISED: Final = BaseException
"""What code of an application may raise: `sys.exit` in a factory, a cancellation that nobody asked for, the
panic of an extension written in Rust, a group of those. Whoever catches it asks `is_cancelled` first."""
T = TypeVar("T")
log = structlog.get_logger(__name__)


def run(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns, or raises. The loop is not closed on purpose: closing waits for threads, and a
    node that was handed back may still sit in one."""
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
    """Whether what was raised is the end of the current task that somebody has asked for, or its coroutine is
    thrown away after the end of its loop."""
    if isinstance(raised, GeneratorExit):
        return asyncio._get_running_loop() is None
    if not isinstance(raised, asyncio.CancelledError):
        return False
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
