"""Which call a block is that is left, whoever leaves it and in whatever order; and what calls leave behind in
an event loop that is closed."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import Any

import pytest

from lgs_runtime.breaker import CircuitBreaker
from support.clock import Clock
from support.ports import PATIENCE_SECONDS

LONG = 3600.0
Enter = Callable[[CircuitBreaker], Awaitable[Any]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slow_after_ten(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker("model", minimum_calls=100, slow_call_seconds=10, clock=clock)


def blocks(breaker: CircuitBreaker) -> Iterator[int]:
    with breaker:
        yield 1


def stacked(breaker: CircuitBreaker) -> Iterator[int]:
    with ExitStack() as stack:
        stack.enter_context(breaker)
        yield 1


async def blocks_async(breaker: CircuitBreaker) -> AsyncIterator[int]:
    async with breaker:
        yield 1


async def stacked_async(breaker: CircuitBreaker) -> AsyncIterator[int]:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(breaker)
        yield 1


async def ended(stream: Any) -> None:
    if hasattr(stream, "__anext__"):
        assert await anext(stream, None) is None
    else:
        assert next(stream, None) is None


async def begun(stream: Any) -> None:
    assert (await anext(stream) if hasattr(stream, "__anext__") else next(stream)) == 1


@pytest.mark.parametrize("make", [blocks, stacked, blocks_async, stacked_async])
async def test_streams_that_one_task_reads_by_turns_each_leave_their_own_block(
    slow_after_ten: CircuitBreaker, clock: Clock, make: Callable[[CircuitBreaker], Any]
) -> None:
    first, second = make(slow_after_ten), make(slow_after_ten)
    await begun(first)
    clock.now = 15
    await begun(second)

    await ended(first)
    assert slow_after_ten.circuit.state.ended == (1, 0, 1), "that of the first, which was slow"
    await ended(second)
    assert slow_after_ten.circuit.state.ended == (2, 0, 1)


async def test_a_stack_that_another_function_closes_leaves_the_block_of_its_task(
    slow_after_ten: CircuitBreaker, clock: Clock
) -> None:
    async def held(entered: asyncio.Event, gate: asyncio.Event) -> None:
        async with slow_after_ten:
            entered.set()
            await gate.wait()

    async def close(stack: AsyncExitStack) -> None:
        await stack.aclose()

    entered, gate = asyncio.Event(), asyncio.Event()
    other = asyncio.create_task(held(entered, gate))
    await entered.wait()
    clock.now = 15
    stack = AsyncExitStack()
    await stack.enter_async_context(slow_after_ten)

    await close(stack)
    assert slow_after_ten.circuit.state.ended == (1, 0, 0)
    gate.set()
    await other
    assert slow_after_ten.circuit.state.ended == (2, 0, 1)


async def test_a_stream_that_another_task_closes_takes_no_time_out_along_and_leaves_none_behind() -> None:
    breaker = CircuitBreaker("model", timeout=0.2)
    begun = asyncio.Event()

    async def silent() -> None:
        async with breaker:
            begun.set()
            await asyncio.get_running_loop().create_future()

    async def read_one_item() -> None:
        stream = blocks_async(breaker)
        await anext(stream)
        await asyncio.create_task(stream.aclose())  # type: ignore[attr-defined]
        # A time-out that is left behind would cancel this, which has nothing to do with the breaker any more.
        await asyncio.wait({call})

    call = asyncio.create_task(silent())
    await begun.wait()

    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.create_task(read_one_item())
    with pytest.raises(TimeoutError, match="model"):
        await call


@pytest.fixture(params=[False, True], ids=["dropped", "held"])
def held(request: pytest.FixtureRequest) -> bool:
    """Whether somebody still has what was left behind."""
    return bool(request.param)


async def function(breaker: CircuitBreaker, entered: Enter) -> Any:
    @breaker
    async def call() -> None:
        await entered(breaker)

    return await began(call(), breaker)


async def block(breaker: CircuitBreaker, entered: Enter) -> Any:
    async def call() -> None:
        async with breaker:
            await entered(breaker)

    return await began(call(), breaker)


async def sync_block(breaker: CircuitBreaker, entered: Enter) -> Any:
    async def call() -> None:
        with breaker:
            await entered(breaker)

    return await began(call(), breaker)


async def stream(breaker: CircuitBreaker, _entered: Enter) -> Any:
    @breaker
    async def tokens() -> AsyncGenerator[int, None]:
        yield 1
        yield 2

    found = tokens()
    await anext(found)
    return found


async def block_in_a_stream(breaker: CircuitBreaker, _entered: Enter) -> Any:
    found = blocks_async(breaker)
    await anext(found)
    return found


async def began(work: Any, breaker: CircuitBreaker) -> Any:
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


def left_behind(work: Callable[[], Awaitable[Any]]) -> Any:
    """What is begun in an event loop of its own, which is closed in the midst of it."""
    loop = asyncio.new_event_loop()
    # That it is closed too early is what this is about.
    loop.set_exception_handler(lambda _loop, _context: None)
    try:
        return loop.run_until_complete(work())
    finally:
        loop.close()


async def never(_breaker: CircuitBreaker) -> None:
    await asyncio.get_running_loop().create_future()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", [function, block, sync_block, stream, block_in_a_stream])
def test_a_call_that_an_event_loop_left_behind_keeps_no_place(
    kind: Callable[[CircuitBreaker, Enter], Awaitable[Any]], held: bool
) -> None:
    breaker = CircuitBreaker("model", max_concurrent=1)
    bulkhead = breaker.parts[1]
    assert bulkhead is not None
    left = left_behind(partial(kind, breaker, never))
    assert bulkhead.used == 1, "the premise: it was in the midst of a call"
    if not held:
        left = None
        gc.collect()

    for _ in range(2):
        with breaker:
            assert bulkhead.used == 1
    assert bulkhead.used == 0

    # What ends later gives no place up a second time.
    with breaker:
        left = None
        gc.collect()
        assert bulkhead.used == 1
    assert left is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_who_waited_in_a_closed_event_loop_gets_no_place(held: bool) -> None:
    breaker = CircuitBreaker("model", max_concurrent=1, max_wait_seconds=LONG)
    bulkhead = breaker.parts[1]
    assert bulkhead is not None
    with breaker:
        left = left_behind(partial(block, breaker, never))
        if not held:
            left = None
            gc.collect()

    assert bulkhead.used == 0
    with breaker:
        assert bulkhead.used == 1
    assert left is None or not left.done()
    del left
    gc.collect()


async def test_who_waits_gets_the_place_of_a_loop_that_was_closed_before_its_time_is_up() -> None:
    breaker = CircuitBreaker("model", max_concurrent=1, max_wait_seconds=0.3)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, _context: None)
    left = await asyncio.to_thread(loop.run_until_complete, stream(breaker, never))

    async def wait_for_a_place() -> str:
        async with breaker:
            return "got one"

    waiting = asyncio.create_task(wait_for_a_place())
    await asyncio.sleep(0)
    loop.close()

    assert await waiting == "got one"
    assert left is not None


def test_nothing_that_a_closed_event_loop_left_behind_is_held_for_ever() -> None:
    breaker = CircuitBreaker("model", max_concurrent=1)
    left = weakref.ref(left_behind(partial(block, breaker, never)))
    gc.collect()

    assert left() is None
    with breaker:
        pass
