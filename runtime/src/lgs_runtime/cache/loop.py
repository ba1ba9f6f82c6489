"""Runs coroutines in the event loop that talks to Redis, for code in any other event loop and any thread."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, Final, TypeVar

BLOCKED_SECONDS: Final = 70.0
"""How many seconds a thread waits for the event loop at most."""
T = TypeVar("T")


class LoopWork:
    """Runs work in one event loop, once it has one."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs work in the event loop of Redis, from any event loop."""
        loop = self.loop
        if loop is None or loop is asyncio.get_running_loop():
            return await work
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    def blocking(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Runs work in the event loop of Redis, and waits for it for at most `BLOCKED_SECONDS`. Returns None
        if it takes longer, and on an event loop's own thread, where the work is done later."""
        if (loop := self.loop) is None:
            work.close()
        elif on_a_loop():
            self.later(work)
        else:
            try:
                return asyncio.run_coroutine_threadsafe(work, loop).result(BLOCKED_SECONDS)
            except (TimeoutError, CancelledError):
                pass
            except RuntimeError:
                if not loop.is_closed():
                    raise
                work.close()
        return None

    def later(self, work: Coroutine[Any, Any, Any]) -> None:
        """Runs work in the event loop of Redis, in the background."""
        try:
            if (loop := self.loop) is None:
                work.close()
            else:
                loop.call_soon_threadsafe(lambda: self.keep_alive(asyncio.ensure_future(work)))
        except RuntimeError:  # It is closed: the replica has stopped meanwhile.
            work.close()

    def keep_alive(self, task: asyncio.Future[Any]) -> None:
        """Keeps a reference to a task until it is done or the manager is closed."""
        assert isinstance(task, asyncio.Task)
        if task.get_loop() is not self.loop:
            # Other event loops may have been closed with tasks that never ended.
            self._tasks -= {each for each in tuple(self._tasks) if each.get_loop().is_closed()}
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end_tasks(self) -> None:
        """Cancels the tasks in the background, and waits for those of this event loop. Tasks of other event
        loops, which may be closed by now, are only cancelled."""
        here, tasks = asyncio.get_running_loop(), tuple(self._tasks)
        for task in tasks:
            with suppress(RuntimeError):
                task.get_loop().call_soon_threadsafe(task.cancel)
        ours = [task for task in tasks if task.get_loop() is here]
        await asyncio.gather(*ours, return_exceptions=True)


def on_a_loop() -> bool:
    """Whether this thread runs an event loop, and so must not block."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
