"""Concurrent calls for what is missing compute it once, and whatever happens to the one who computes, the
others go on."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from langgraph.errors import GraphInterrupt

from lgs_runtime.cache import cached
from lgs_runtime.cache.found import Found, Life
from lgs_runtime.cache.manager import MOST_REFRESHES, CacheManager
from lgs_runtime.cache.single_flight import Flight, Flights, Without, copy_of
from support.ports import PATIENCE_SECONDS

CALLS: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_yet(cache: CacheManager) -> None:
    CALLS.clear()
    GATE.clear()
    BEGUN.clear()


GATE, BEGUN = asyncio.Event(), asyncio.Event()


@cached(ttl=3600)
async def slow(question: str, raises: str = "") -> str:
    CALLS.append(question)
    BEGUN.set()
    await GATE.wait()
    if raises == "interrupt" and len(CALLS) == 1:
        raise GraphInterrupt()
    if raises == "error":
        raise LookupError(question)
    return f"answer to {question}"


async def waiting(cache: CacheManager, callers: int) -> None:
    """Until so many callers wait."""
    while cache.statistics.total().waits < callers:
        await asyncio.sleep(0)


@pytest.mark.parametrize("blocking", [False, True])
async def test_a_value_that_comes_as_a_caller_begins_to_lead_is_not_computed_again(
    cache: CacheManager, *, blocking: bool
) -> None:
    """Between its look into memory and its flight the one before it lands."""
    place, join = cache.place("some", "key"), cache.flights.join

    def join_late(key: str) -> tuple[Flight, bool]:
        cache.flights.join = join  # type: ignore[method-assign]
        before, leads = join(key)
        assert leads
        cache.land_blocking(place, before, "there", Life(60.0))
        return join(key)

    cache.flights.join = join_late  # type: ignore[method-assign]
    if blocking:
        found = await asyncio.to_thread(cache.enter_blocking, place, Life(60.0), frozenset())
    else:
        found = await cache.enter(place, Life(60.0), frozenset())

    assert isinstance(found, Found)
    assert found.value == "there"
    assert cache.flights.of(place.key) is None


async def test_a_hundred_calls_at_once_compute_once(cache: CacheManager) -> None:
    calls = [asyncio.create_task(slow("a")) for _ in range(100)]
    await waiting(cache, 99)
    GATE.set()

    assert set(await asyncio.gather(*calls)) == {"answer to a"}
    assert CALLS == ["a"]
    assert (cache.statistics.total().misses, cache.statistics.total().hits) == (1, 99)


async def test_when_the_one_who_computes_is_cancelled_another_goes_on(cache: CacheManager) -> None:
    leader = asyncio.create_task(slow("a"))
    await BEGUN.wait()
    others = [asyncio.create_task(slow("a")) for _ in range(5)]
    await waiting(cache, 5)

    leader.cancel()
    GATE.set()

    assert await asyncio.gather(*others) == ["answer to a"] * 5
    assert CALLS == ["a", "a"]
    with pytest.raises(asyncio.CancelledError):
        await leader


async def test_when_one_who_waits_is_cancelled_the_others_are_not(cache: CacheManager) -> None:
    leader = asyncio.create_task(slow("a"))
    await BEGUN.wait()
    one, other = (asyncio.create_task(slow("a")) for _ in range(2))
    await waiting(cache, 2)

    one.cancel()
    GATE.set()

    assert [await leader, await other] == ["answer to a"] * 2
    assert CALLS == ["a"]


async def test_what_is_raised_is_raised_in_all_who_waited_and_is_not_kept(cache: CacheManager) -> None:
    calls = [asyncio.create_task(slow("a", "error")) for _ in range(10)]
    await waiting(cache, 9)
    GATE.set()

    raised = await asyncio.gather(*calls, return_exceptions=True)

    assert {type(each) for each in raised} == {LookupError}
    assert CALLS == ["a"]


async def test_what_is_raised_in_one_has_nothing_of_the_others(cache: CacheManager) -> None:
    async def ask() -> str:
        return await slow("a", "error")

    calls = [asyncio.create_task(ask()) for _ in range(10)]
    await waiting(cache, 9)
    GATE.set()
    raised: list[Any] = await asyncio.gather(*calls, return_exceptions=True)

    raised[0].add_note("of the first")
    assert len({id(each) for each in raised}) == len(raised)
    assert all(not hasattr(each, "__notes__") for each in raised[1:])
    for each in raised:
        frames = [frame.name for frame in traceback.extract_tb(each.__traceback__)]
        assert (frames.count("ask"), frames[-1]) == (1, "slow"), frames


class Refused(Exception):
    """As those of HTTP clients, whose constructor wants more than the message."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status
        MADE.append(message)


class Slotted(ValueError):
    __slots__ = ("code", "unset")

    def __init__(self, code: int) -> None:
        self.code = code


class Strange(Exception):
    """One that can't be made otherwise than it was."""

    def __new__(cls, *given: Any) -> Strange:
        if not given:
            raise TypeError("no way")
        return super().__new__(cls)

    def __init__(self, *_given: Any) -> None:
        super().__init__()


MADE: list[str] = []
FIELDS = ("status", "code", "errno", "strerror", "filename", "value", "start", "reason", "name", "exceptions")


@pytest.mark.parametrize(
    "raised",
    [
        ValueError("a", 1), Refused("no", status=429), Slotted(7), OSError(2, "no such file", "x"),
        FileNotFoundError(2, "no such file", "x"), StopIteration(5),
        UnicodeDecodeError("utf-8", b"a", 0, 1, "bad"),
        ImportError("a", name="b"), ExceptionGroup("several", [ValueError("a")]), KeyError("a"),
    ],
    ids=lambda raised: type(raised).__name__,
)  # fmt: skip
def test_a_copy_of_an_exception_is_as_it_was(raised: Exception) -> None:
    raised.add_note("a note")
    raised.__cause__ = KeyError("cause")
    MADE.clear()

    made = copy_of(raised)

    assert made is not raised
    assert (type(made), str(made), repr(made), made.args) == (
        type(raised),
        str(raised),
        repr(raised),
        raised.args,
    )
    for name in FIELDS:
        assert getattr(made, name, None) == getattr(raised, name, None)
    assert (made.__cause__, made.__notes__) == (raised.__cause__, ["a note"])
    assert MADE == [], "its constructor may do more than make it"


def test_an_exception_of_which_there_can_be_no_copy_is_itself() -> None:
    raised = Strange("once")

    assert copy_of(raised) is raised


class Frozen(Exception):
    def __setattr__(self, name: str, value: Any) -> None:
        raise RuntimeError(f"{name} can't be set")


class Secret(Exception):
    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):
            return super().__getattribute__(name)
        raise RuntimeError(f"{name} can't be read")


@pytest.mark.parametrize("kind", [Frozen, Secret])
async def test_an_exception_that_refuses_to_be_set_or_read_is_raised_in_all_who_waited(
    cache: CacheManager, kind: type[Exception]
) -> None:
    @cached(ttl=3600, namespace="refusing")
    async def refusing() -> None:
        BEGUN.set()
        await GATE.wait()
        try:
            raise LookupError("why")
        except LookupError as why:
            raise kind("no") from why

    leader = asyncio.create_task(refusing())
    await BEGUN.wait()
    other = asyncio.create_task(refusing())
    await waiting(cache, 1)
    GATE.set()

    found = await asyncio.gather(leader, other, return_exceptions=True)

    assert [type(each) for each in found] == [kind, kind]
    assert str(found[1].__cause__) == "why"  # type: ignore[union-attr]
    assert cache.flights.leased() == [] and not cache.flights._under_way


async def test_an_interrupt_among_other_exceptions_is_that_of_its_run_alone(cache: CacheManager) -> None:
    @cached(ttl=3600, namespace="several")
    async def several() -> str:
        CALLS.append("several")
        BEGUN.set()
        await GATE.wait()
        if len(CALLS) == 1:
            raise ExceptionGroup("all", [ValueError("a"), ExceptionGroup("some", [GraphInterrupt()])])
        return "done"

    leader = asyncio.create_task(several())
    await BEGUN.wait()
    other = asyncio.create_task(several())
    await waiting(cache, 1)
    GATE.set()

    with pytest.raises(ExceptionGroup):
        await leader
    assert await other == "done"


async def test_an_interrupt_is_that_of_its_run_alone(cache: CacheManager) -> None:
    leader = asyncio.create_task(slow("a", "interrupt"))
    await BEGUN.wait()
    other = asyncio.create_task(slow("a", "interrupt"))
    await waiting(cache, 1)
    GATE.set()

    with pytest.raises(GraphInterrupt):
        await leader
    assert await other == "answer to a"


async def test_a_value_that_can_not_be_kept_is_computed_by_all_who_waited_at_once(
    cache: CacheManager,
) -> None:
    at_once = asyncio.Barrier(3)

    @cached(ttl=3600, namespace="unstorable")
    async def opened() -> object:
        CALLS.append("opened")
        if len(CALLS) == 1:
            await GATE.wait()
        else:
            await at_once.wait()
        return object()

    calls = [asyncio.create_task(opened()) for _ in range(4)]
    await waiting(cache, 3)
    GATE.set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*calls)

    assert len(CALLS) == 4


async def test_a_function_that_calls_itself_does_not_wait_for_itself() -> None:
    @cached(ttl=3600, namespace="fibonacci")
    async def fibonacci(n: int, again: bool = False) -> int:
        CALLS.append(n)
        if n == 3 and not again and CALLS.count(3) < 2:
            # The very call that is being computed.
            return await fibonacci(3)
        return n if n < 2 else await fibonacci(n - 1) + await fibonacci(n - 2)

    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await fibonacci(5) == 5


async def test_two_functions_that_wait_for_each_other_go_on(cache: CacheManager) -> None:
    both = asyncio.Barrier(2)

    @cached(ttl=3600, namespace="ping")
    async def ping(first: bool = True) -> str:
        if first and CALLS.count("ping") == 0:
            CALLS.append("ping")
            await both.wait()
            return "ping " + await pong()
        return "end"

    @cached(ttl=3600, namespace="pong")
    async def pong() -> str:
        if CALLS.count("pong") == 0:
            CALLS.append("pong")
            await both.wait()
            return "pong " + await ping()
        return "end"

    async with asyncio.timeout(PATIENCE_SECONDS):
        answers = await asyncio.gather(ping(), pong())

    assert all(answer.endswith("end") for answer in answers)


async def test_threads_compute_once_and_wait(cache: CacheManager) -> None:
    go_on, begun = threading.Event(), threading.Event()

    @cached(ttl=3600, namespace="in threads")
    def blocking() -> int:
        CALLS.append("blocking")
        begun.set()
        go_on.wait(PATIENCE_SECONDS)
        return 1

    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(contextvars.copy_context().run, blocking) for _ in range(8)]
        await asyncio.to_thread(begun.wait, PATIENCE_SECONDS)
        await waiting(cache, 7)
        go_on.set()
        answers = await asyncio.gather(*map(asyncio.wrap_future, calls))

    assert answers == [1] * 8
    assert CALLS == ["blocking"]


async def test_a_sync_function_on_the_event_loop_never_blocks_it(cache: CacheManager) -> None:
    go_on, begun = threading.Event(), threading.Event()

    @cached(ttl=3600, namespace="on the loop")
    def blocking(wait: Callable[[], object] | None = None) -> int:
        CALLS.append("blocking")
        if len(CALLS) == 1:
            begun.set()
            go_on.wait(PATIENCE_SECONDS)
        return 1

    leader = asyncio.create_task(asyncio.to_thread(blocking))
    await asyncio.to_thread(begun.wait, PATIENCE_SECONDS)
    answer = blocking()
    go_on.set()

    assert (answer, await leader, len(CALLS)) == (1, 1, 2)


async def test_a_call_from_another_event_loop_waits_for_the_one_here(cache: CacheManager) -> None:
    leader = asyncio.create_task(slow("a"))
    await BEGUN.wait()
    elsewhere = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(slow("a"))))
    await waiting(cache, 1)
    GATE.set()

    assert [await leader, await elsewhere] == ["answer to a"] * 2
    assert CALLS == ["a"]


async def test_a_time_out_is_raised_in_all_threads_that_waited(cache: CacheManager) -> None:
    go_on, begun = threading.Event(), threading.Event()

    @cached(ttl=3600, namespace="timed out")
    def blocking() -> int:
        CALLS.append("blocking")
        begun.set()
        go_on.wait(PATIENCE_SECONDS)
        raise TimeoutError("the dependency did not answer")

    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(contextvars.copy_context().run, blocking) for _ in range(4)]
        await asyncio.to_thread(begun.wait, PATIENCE_SECONDS)
        await waiting(cache, 3)
        go_on.set()
        raised = await asyncio.gather(*map(asyncio.wrap_future, calls), return_exceptions=True)

    assert {str(each) for each in raised} == {"the dependency did not answer"}
    assert CALLS == ["blocking"]


def left_behind(*calls: Callable[[], Awaitable[Any]]) -> list[Any]:
    """What the calls answer in an event loop of their own, which is closed with all that it had to do."""
    loop = asyncio.new_event_loop()
    # That it is closed too early is what this is about.
    loop.set_exception_handler(lambda _loop, _context: None)
    try:
        return [loop.run_until_complete(call()) for call in calls]
    finally:
        loop.close()


async def test_a_call_that_was_left_behind_in_a_closed_event_loop_keeps_nobody_waiting() -> None:
    @cached(ttl=3600, namespace="left behind")
    async def answer() -> str:
        CALLS.append("answer")
        if len(CALLS) == 1:
            await asyncio.get_running_loop().create_future()
        return "answer"

    async def begin() -> asyncio.Task[str]:
        task = asyncio.ensure_future(answer())
        while not CALLS:
            await asyncio.sleep(0)
        return task

    (task,) = await asyncio.to_thread(left_behind, begin)

    async with asyncio.timeout(PATIENCE_SECONDS):
        assert [await answer(), await answer()] == ["answer", "answer"]
    assert CALLS == ["answer", "answer"]
    assert not task.done()
    del task
    gc.collect()


async def test_what_was_to_be_computed_anew_in_a_closed_event_loop_is_by_the_next_call(
    cache: CacheManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, here = [1000.0], asyncio.get_running_loop()
    monkeypatch.setattr(cache.memory, "_clock", lambda: now[0])
    monkeypatch.setattr("lgs_runtime.cache.values.now", lambda: now[0])

    @cached(ttl=10, stale=100, namespace="left behind")
    async def rates(of: int) -> int:
        if (loop := asyncio.get_running_loop()) is not here:
            await loop.create_future()
        CALLS.append(of)
        return len(CALLS)

    for at in range(MOST_REFRESHES + 1):
        await rates(at)
        now[0] += 50
        await asyncio.to_thread(left_behind, partial(rates, at))
    await rates(MOST_REFRESHES)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while cache.statistics.of("left behind").refreshes == 0:
            await asyncio.sleep(0)

    assert [*range(MOST_REFRESHES + 1), MOST_REFRESHES] == CALLS
    assert len(cache._tasks) <= 1
    gc.collect()


async def test_a_caller_that_is_cancelled_as_it_begins_keeps_nobody_waiting(
    cache: CacheManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_loop = cache.on_loop

    async def cancelled(work: Any) -> None:
        # As for a caller of another event loop, which is cancelled while the answer is on its way.
        await on_loop(work)
        raise asyncio.CancelledError

    GATE.set()
    with monkeypatch.context() as once:
        once.setattr(cache, "on_loop", cancelled)
        with pytest.raises(asyncio.CancelledError):
            await slow("a")

    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await slow("a") == "answer to a"


def test_flights_that_wait_in_a_circle_are_found_out() -> None:
    flights = Flights()
    one, other, third = (flights.join(key)[0] for key in "abc")

    assert flights.wait(other, frozenset({one}))
    assert not flights.wait(one, frozenset({other}))
    one.waits_for.add(other)
    other.waits_for.add(one)

    assert not third.leads_to(frozenset({one}))
    assert not one.leads_to(frozenset({third}))


def test_a_flight_that_the_garbage_collector_ends_in_the_midst_of_another_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flights = Flights()
    left, _ = flights.join("left behind")

    class Collecting(Flight):
        def __init__(self, key: str) -> None:
            # What is made here may be what makes the garbage collector begin.
            flights.land(left, Without.AGAIN)
            super().__init__(key)

    monkeypatch.setattr("lgs_runtime.cache.single_flight.Flight", Collecting)
    joined: list[tuple[Flight, bool]] = []
    thread = threading.Thread(target=lambda: joined.append(flights.join("a")), daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)

    assert [leads for _, leads in joined] == [True]
    assert left.future.done()


async def test_a_call_in_an_event_loop_that_was_stopped_keeps_nobody_waiting() -> None:
    stopped = asyncio.new_event_loop()

    async def begin() -> asyncio.Task[str]:
        task = asyncio.create_task(stopping("a"))
        while not CALLS:
            await asyncio.sleep(0)
        return task

    @cached(ttl=3600, namespace="stopped")
    async def stopping(question: str) -> str:
        CALLS.append(question)
        answer = f"answer {len(CALLS)}"
        if asyncio.get_running_loop() is stopped:
            await asyncio.sleep(0.01)
        return answer

    left = await asyncio.to_thread(stopped.run_until_complete, begin())
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await stopping("a") == "answer 2"
    await asyncio.to_thread(stopped.run_until_complete, left)
    stopped.close()

    assert left.result() == "answer 1"
    assert await stopping("a") == "answer 2", "what was taken over may be older"
    assert len(CALLS) == 2


async def test_who_waited_in_vain_keeps_what_it_computes(
    cache: CacheManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_runtime.cache.manager.FOLLOW_SECONDS", 0.05)

    @cached(ttl=3600, namespace="hanging")
    async def hanging(invalidates: bool = False) -> int:
        CALLS.append("hanging")
        number = len(CALLS)
        if number == 1:
            await GATE.wait()
        elif invalidates:
            await hanging.invalidate(invalidates)
        return number

    for invalidates, kept in ((False, 2), (True, 3)):
        CALLS.clear()
        GATE.clear()
        leader = asyncio.create_task(hanging(invalidates))
        while not CALLS:
            await asyncio.sleep(0)
        assert await hanging(invalidates) == 2
        waits = cache.statistics.total().waits
        assert await hanging(invalidates) == kept
        assert (cache.statistics.total().waits == waits) is (kept == 2)
        GATE.set()
        assert await leader == 1
    assert not cache.flights._alone


async def test_a_thread_that_waited_in_vain_keeps_what_it_computes(
    cache: CacheManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_runtime.cache.manager.FOLLOW_SECONDS", 0.05)
    begun, go_on = threading.Event(), threading.Event()

    @cached(ttl=3600, namespace="hanging threads")
    def hanging() -> int:
        CALLS.append("hanging")
        number = len(CALLS)
        if number == 1:
            begun.set()
            go_on.wait(PATIENCE_SECONDS)
        return number

    leader = asyncio.create_task(asyncio.to_thread(hanging))
    await asyncio.to_thread(begun.wait, PATIENCE_SECONDS)
    try:
        assert [await asyncio.to_thread(hanging) for _ in range(3)] == [2, 2, 2]
    finally:
        go_on.set()
    assert await leader == 1
    assert not cache.flights._alone
