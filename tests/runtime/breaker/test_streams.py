"""A stream is one call from its first item to its last, however it is made, and what goes between it and its
reader is as without a breaker. And calls that are left behind, which the garbage collector ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from types import coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs

from lgs_runtime.breaker import CircuitBreaker, CircuitOpen, state_machine
from lgs_runtime.breaker.bulkhead import Bulkhead
from lgs_runtime.breaker.circuit import Circuit
from lgs_runtime.breaker.policy import Policy
from lgs_runtime.breaker.registry import MOST
from lgs_runtime.breaker.state_machine import Phase, Result
from support.ports import PATIENCE_SECONDS

made = partial(CircuitBreaker, failure_threshold=0.5, minimum_calls=2, recovery_timeout=60)


def broken() -> Generator[int, Any, None]:
    yield 1
    raise ConnectionError("broken off")


async def broken_async() -> AsyncIterator[int]:
    yield 1
    raise ConnectionError("broken off")


def test_a_function_that_returns_a_stream_counts_by_how_the_stream_ends() -> None:
    breaker = made("returned")

    @breaker
    def ask() -> Any:
        return broken()

    for _ in range(2):
        with pytest.raises(ConnectionError):
            list(ask())

    assert breaker.state is Phase.OPEN
    with pytest.raises(CircuitOpen):
        list(ask())


async def test_a_function_that_returns_an_asynchronous_stream_counts_by_how_the_stream_ends() -> None:
    breaker = made("returned")

    @breaker
    def ask() -> Any:
        return broken_async()

    for _ in range(2):
        with pytest.raises(ConnectionError):
            [item async for item in ask()]

    assert breaker.state is Phase.OPEN
    with pytest.raises(CircuitOpen):
        [item async for item in ask()]


async def test_a_coroutine_that_is_made_of_a_generator_can_still_be_awaited() -> None:
    @coroutine
    def answered() -> Generator[None, None, int]:
        yield
        return 5

    @made("awaited")
    def ask() -> Any:
        return answered()

    assert await ask() == 5


class Foreign(Coroutine[Any, Any, Any]):
    """A coroutine that Python did not make, as those of Cython."""

    def __init__(self, inner: Coroutine[Any, Any, Any]) -> None:
        self._inner = inner

    def send(self, sent: Any) -> Any:
        return self._inner.send(sent)

    def throw(self, *raised: Any) -> Any:
        return self._inner.throw(*raised)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()


@coroutine
def of_a_generator(work: Callable[[], Coroutine[Any, Any, Any]]) -> Generator[Any, Any, Any]:
    return (yield from work().__await__())


@pytest.mark.parametrize(
    "kind",
    [
        lambda work: asyncio.ensure_future(work()),
        lambda work: asyncio.gather(work()),
        lambda work: Foreign(work()),
        of_a_generator,
    ],
    ids=["task", "future", "foreign", "generator"],
)
async def test_what_is_awaited_counts_by_how_it_ends_whoever_made_it(
    kind: Callable[[Callable[[], Any]], Any],
) -> None:
    breaker = made("model", minimum_calls=4, max_concurrent=1)
    bulkhead = breaker.parts[1]
    assert bulkhead is not None
    healthy = True

    async def work() -> str:
        await asyncio.sleep(0)
        assert bulkhead.used == 1
        if not healthy:
            raise ConnectionError("away")
        return "answer"

    ask = breaker(lambda: kind(work))
    assert await ask() in ("answer", ["answer"])
    healthy = False
    for _ in range(3):
        with pytest.raises(ConnectionError):
            await ask()

    assert (breaker.state, bulkhead.used) == (Phase.OPEN, 0)
    with pytest.raises(CircuitOpen):
        await ask()


async def test_a_task_that_is_cancelled_says_nothing() -> None:
    breaker = made("model", max_concurrent=1)
    bulkhead = breaker.parts[1]
    assert bulkhead is not None
    task = breaker(lambda: asyncio.ensure_future(asyncio.get_running_loop().create_future()))()
    assert bulkhead.used == 1

    task.cancel()
    await asyncio.wait({task})
    await asyncio.sleep(0)

    assert (bulkhead.used, breaker.circuit.results) == (0, {Result.NEITHER: 1})


def test_what_a_pool_of_threads_does_counts_by_how_it_ends() -> None:
    breaker = made("model")

    def work() -> None:
        raise ConnectionError("away")

    with ThreadPoolExecutor(1) as pool:
        submit = breaker(pool.submit)
        for _ in range(2):
            assert isinstance(submit(work).exception(), ConnectionError)

    assert (breaker.state, breaker.circuit.results) == (Phase.OPEN, {Result.FAILURE: 2})


async def test_what_is_awaited_and_entered_too_is_left_as_it_is_and_says_nothing() -> None:
    class Request(Foreign):
        async def __aenter__(self) -> str:
            return await self

        async def __aexit__(self, *_raised: Any) -> None:
            pass

    breaker = made("model")

    async def work() -> str:
        return "answer"

    async with breaker(lambda: Request(work()))() as answer:
        assert answer == "answer"
    assert breaker.circuit.results == {Result.NEITHER: 1}


async def test_what_is_sent_to_a_stream_and_what_it_returns_comes_through() -> None:
    breaker = made("sent")
    got: list[Any] = []

    @breaker
    def asked() -> Generator[int, str, str]:
        got.append((yield 1))
        return "end"

    @breaker
    async def asked_async() -> Any:
        got.append((yield 1))

    def reader() -> Generator[int, str, None]:
        got.append((yield from asked()))

    reading, reading_async = reader(), asked_async()
    assert (next(reading), await anext(reading_async)) == (1, 1)
    with pytest.raises(StopIteration):
        reading.send("one")
    with pytest.raises(StopAsyncIteration):
        await reading_async.asend("two")

    assert got == ["one", "end", "two"]
    assert breaker.circuit.results == {Result.SUCCESS: 2}


async def test_a_context_manager_behind_a_breaker_sees_what_its_block_raises() -> None:
    breaker, seen = made("session"), []

    @contextmanager
    @breaker
    def session() -> Any:
        try:
            yield "session"
        except LookupError as raised:
            seen.append(raised)

    @asynccontextmanager
    @breaker
    async def session_async() -> Any:
        try:
            yield "session"
        except LookupError as raised:
            seen.append(raised)
            raise

    raised = LookupError("in the block")
    with session():
        raise raised
    with pytest.raises(LookupError):
        async with session_async():
            raise raised

    assert seen == [raised, raised]
    assert breaker.circuit.results == {Result.SUCCESS: 1, Result.FAILURE: 1}


def in_a_thread(work: Callable[[], None]) -> None:
    """Does work that may stand still for ever."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive(), "it stands still"


def test_a_call_that_the_garbage_collector_ends_in_the_midst_of_another_counts_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    circuit = Circuit("model", Policy(minimum_calls=10))
    left_behind, other = circuit.acquire(), circuit.acquire()
    report, left = state_machine.report, [left_behind]

    def collecting(*args: Any) -> Any:
        # What is made here may be what makes the garbage collector begin.
        after = report(*args)
        if left:
            circuit.report(left.pop(), Result.FAILURE)
        return after

    monkeypatch.setattr(state_machine, "report", collecting)
    in_a_thread(partial(circuit.report, other, Result.SUCCESS))

    assert circuit.state.ended == (2, 1, 0)


def test_a_place_that_the_garbage_collector_gives_back_is_there_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bulkhead = Bulkhead(1, max_wait_seconds=600)
    place, future = bulkhead.enter("model"), Future[None]()

    def collecting() -> Any:
        bulkhead.leave(place)
        return future

    monkeypatch.setattr("lgs_runtime.breaker.bulkhead.Future", collecting)
    in_a_thread(partial(bulkhead.enter, "model"))

    assert bulkhead.used == 1


def test_names_without_end_are_told_once() -> None:
    with capture_logs() as logs:
        for number in range(MOST + 50):
            CircuitBreaker(f"customer-{number}")

    assert [log["event"] for log in logs if log["event"].startswith("circuit.")] == ["circuit.forgotten"]
