"""Code of other threads outlives the replica: what it would still do in its event loop is let be."""

import asyncio
import inspect

from lgs_runtime.cache.loop import LoopWork


def test_who_comes_from_a_thread_after_the_event_loop_was_closed_is_not_harmed_and_leaves_no_work() -> None:
    async def ask() -> str:
        return "asked"

    loop_work = LoopWork()
    loop_work.loop = asyncio.new_event_loop()
    loop_work.loop.close()
    later, blocking = ask(), ask()

    loop_work.later(later)
    answer = loop_work.blocking(blocking)

    assert answer is None
    assert [inspect.getcoroutinestate(each) for each in (later, blocking)] == [inspect.CORO_CLOSED] * 2
