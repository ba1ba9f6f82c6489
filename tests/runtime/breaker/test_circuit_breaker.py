"""`CircuitBreaker` around code: functions of every kind and blocks, by tasks and threads, on a clock that the
test moves."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import gc
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from langgraph.errors import GraphInterrupt

from lgs_runtime.breaker import BulkheadFull, CircuitBreaker, CircuitOpen
from lgs_runtime.breaker.circuit import Circuit
from lgs_runtime.breaker.policy import Policy
from lgs_runtime.breaker.registry import CIRCUITS, MOST
from lgs_runtime.breaker.state_machine import Permit, Phase, Result
from support.clock import Clock
from support.ports import PATIENCE_SECONDS


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Callable[..., CircuitBreaker]:
    """Two calls decide, one probe."""
    return partial(
        CircuitBreaker, failure_threshold=0.5, minimum_calls=2, recovery_timeout=5, probes=1, clock=clock
    )


def fail(breaker: CircuitBreaker, times: int = 2, error: type[BaseException] = ConnectionError) -> None:
    for _ in range(times):
        with pytest.raises(error), breaker:
            raise error


def test_a_function_is_refused_while_it_is_open_and_called_again_when_it_has_recovered(
    make: Callable[..., CircuitBreaker], clock: Clock
) -> None:
    down, calls = True, 0
    breaker = make("model")

    @breaker
    def ask(question: str) -> str:
        nonlocal calls
        calls += 1
        if down:
            raise ConnectionError("away")
        return question.upper()

    for _ in range(2):
        with pytest.raises(ConnectionError):
            ask("a")
    with pytest.raises(CircuitOpen, match="circuit 'model' is open: try again in 5 s") as refused:
        ask("a")
    assert (calls, refused.value.retry_after_seconds) == (2, 5)
    down, clock.now = False, 5.0

    assert ask("a") == "A"
    assert breaker.state is Phase.CLOSED


@pytest.mark.parametrize(("probes", "callers"), [(1, 1), (3, 5)])
async def test_what_a_probe_calls_behind_the_same_breaker_is_part_of_it(
    make: Callable[..., CircuitBreaker], clock: Clock, probes: int, callers: int
) -> None:
    breaker = make("orders", probes=probes)
    there = asyncio.Event()

    @breaker
    async def order(number: int) -> int:
        return number

    @breaker
    async def orders() -> list[int]:
        await there.wait()
        return await asyncio.gather(order(1), order(2))

    fail(breaker)
    clock.now = 5.0
    calls = [asyncio.create_task(orders()) for _ in range(callers)]
    await asyncio.sleep(0)
    with pytest.raises(CircuitOpen):
        await order(3)
    there.set()
    found = await asyncio.gather(*calls, return_exceptions=True)

    assert [each for each in found if not isinstance(each, CircuitOpen)] == [[1, 2]] * probes
    assert breaker.state is Phase.CLOSED


async def test_a_call_that_a_probe_has_left_behind_is_no_part_of_another(
    make: Callable[..., CircuitBreaker], clock: Clock
) -> None:
    breaker = make("orders")
    fail(breaker)
    clock.now = 5.0
    with breaker:
        pass
    fail(breaker)
    clock.now = 10.0
    there, begun = asyncio.Event(), asyncio.Event()

    @breaker
    async def other() -> None:
        begun.set()
        await there.wait()

    probe = asyncio.create_task(other(), context=contextvars.Context())
    await begun.wait()
    with pytest.raises(CircuitOpen), breaker:
        pass
    there.set()
    await probe


def test_what_the_circuit_itself_refuses_says_nothing_of_what_is_called(
    make: Callable[..., CircuitBreaker], clock: Clock
) -> None:
    breaker = make("orders")
    fail(breaker)
    clock.now = 5.0

    def elsewhere() -> None:
        with breaker:
            pass

    with pytest.raises(CircuitOpen), ThreadPoolExecutor(1) as threads, breaker:
        threads.submit(elsewhere).result()

    assert breaker.state is Phase.HALF_OPEN
    assert breaker.circuit.results[Result.FAILURE] == 2


def test_a_copy_of_a_breaker_is_itself(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make("orders")

    assert copy.deepcopy({"tool": breaker})["tool"] is breaker
    assert copy.copy(breaker) is breaker


def test_a_time_out_that_no_task_could_keep_takes_no_place(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make("orders", timeout=1, max_concurrent=1)

    async def call() -> None:
        async with breaker:
            pass

    for _ in range(2):
        with pytest.raises(RuntimeError, match="loop"):
            call().send(None)


def test_an_exception_class_that_can_not_be_asked_hides_no_failure(
    make: Callable[..., CircuitBreaker],
) -> None:
    class Unasked(type):
        def __instancecheck__(cls, each: object) -> bool:
            raise RuntimeError("not asked")

    class Never(Exception, metaclass=Unasked):
        pass

    breaker = make("orders", ignore=(Never,))

    fail(breaker)

    assert breaker.state is Phase.OPEN


async def _never(_raised: BaseException) -> bool:
    return False


class _Never:
    async def __call__(self, _raised: BaseException) -> bool:
        return False


@pytest.mark.parametrize("ignore", [_never, partial(_never), _Never()], ids=["function", "partial", "object"])
def test_a_function_that_would_have_to_be_awaited_ignores_nothing(
    make: Callable[..., CircuitBreaker], ignore: Any
) -> None:
    with pytest.raises(ValueError, match=r"ignore: .*: must not be async"):
        make("orders", ignore=ignore)


async def test_a_coroutine_function_is_guarded_until_it_has_ended(
    make: Callable[..., CircuitBreaker],
) -> None:
    breaker = make("model")

    @breaker
    async def ask() -> None:
        await asyncio.sleep(0)
        raise ConnectionError

    for _ in range(2):
        with pytest.raises(ConnectionError):
            await ask()
    gc.collect()  # what others left behind
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*never awaited", RuntimeWarning)
        with pytest.raises(CircuitOpen):
            await ask()
        gc.collect()


async def test_whatever_returns_a_coroutine_is_guarded(make: Callable[..., CircuitBreaker]) -> None:
    class Model:
        async def __call__(self, _: str) -> None:
            raise ConnectionError

        async def ask(self, _: str) -> None:
            raise ConnectionError

    kinds: list[Callable[..., Any]] = [
        Model(),
        Model().ask,
        partial(Model().ask, "a"),
        lambda *a: Model()("a"),
    ]
    for number, kind in enumerate(kinds):
        breaker = make(f"kind {number}")
        for _ in range(2):
            with pytest.raises(ConnectionError):
                await breaker(kind)(*([] if isinstance(kind, partial) else ["a"]))
        assert breaker.state is Phase.OPEN, kind


async def test_a_stream_counts_by_how_it_ends_and_not_by_how_it_begins(
    make: Callable[..., CircuitBreaker],
) -> None:
    plain, waiting = make("plain"), make("waiting")

    @plain
    def tokens() -> Iterator[int]:
        yield 1
        raise ConnectionError

    @waiting
    async def tokens_later() -> AsyncIterator[int]:
        yield 1
        raise ConnectionError

    for _ in range(2):
        with pytest.raises(ConnectionError):
            list(tokens())
        with pytest.raises(ConnectionError):
            [token async for token in tokens_later()]

    with pytest.raises(CircuitOpen):
        list(tokens())
    with pytest.raises(CircuitOpen):
        [token async for token in tokens_later()]


async def test_who_leaves_a_stream_early_says_nothing_and_keeps_no_place(
    make: Callable[..., CircuitBreaker],
) -> None:
    breaker = make("stream", max_concurrent=1)

    @breaker
    async def tokens() -> AsyncIterator[int]:
        yield 1
        yield 2

    for _ in range(3):
        stream = tokens()
        assert await anext(stream) == 1
        await stream.aclose()  # type: ignore[attr-defined]

    assert breaker.circuit.results == {Result.NEITHER: 3}
    assert [token async for token in tokens()] == [1, 2]


async def test_a_block_inside_of_a_stream_that_nobody_reads_to_its_end_is_left_all_the_same(
    make: Callable[..., CircuitBreaker],
) -> None:
    breaker = make("block", max_concurrent=1)

    async def tokens() -> AsyncIterator[int]:
        async with breaker:
            yield 1

    stream = tokens()
    assert await anext(stream) == 1
    await asyncio.create_task(stream.aclose())  # type: ignore[attr-defined]

    async with breaker:
        pass


async def test_cancellation_says_nothing_and_a_cancelled_probe_gives_its_place_away(
    make: Callable[..., CircuitBreaker], clock: Clock
) -> None:
    breaker = make("model")
    fail(breaker)
    clock.now = 5.0

    async def hang() -> None:
        async with breaker:
            await asyncio.Event().wait()

    probe = asyncio.create_task(hang())
    await asyncio.sleep(0)
    with pytest.raises(CircuitOpen):
        await hang()
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)

    async with breaker:
        pass
    assert breaker.state is Phase.CLOSED


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GraphInterrupt])
def test_the_end_of_the_program_and_a_graph_that_asks_are_no_failures(
    make: Callable[..., CircuitBreaker], error: type[BaseException]
) -> None:
    breaker = make("model")

    fail(breaker, 5, error)

    assert breaker.state is Phase.CLOSED


@pytest.mark.parametrize("ignore", [ValueError, (KeyError, ValueError), lambda raised: "bad" in str(raised)])
def test_bad_input_of_a_user_is_no_failure_also_as_a_probe(
    make: Callable[..., CircuitBreaker], clock: Clock, ignore: Any
) -> None:
    breaker = make("model", ignore=ignore)

    @breaker
    def ask(error: Exception | None) -> None:
        if error is not None:
            raise error

    for _ in range(5):
        with pytest.raises(ValueError, match="bad"):
            ask(ValueError("bad"))
    assert breaker.state is Phase.CLOSED
    fail(breaker)
    clock.now = 5.0
    for _ in range(5):
        with pytest.raises(ValueError, match="bad"):
            ask(ValueError("bad"))
    assert breaker.state is Phase.HALF_OPEN
    ask(None)
    assert breaker.state is Phase.CLOSED


def test_what_judges_an_exception_may_fail_itself(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make("model", ignore=lambda raised: raised.status == 400)

    fail(breaker)

    assert breaker.state is Phase.OPEN


def test_a_group_of_exceptions_is_a_failure_if_one_of_them_is(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make("model", ignore=ValueError)

    assert breaker.result_of(ExceptionGroup("both", [ValueError(), OSError()])) is Result.FAILURE
    assert breaker.result_of(ExceptionGroup("bad", [ValueError(), ValueError()])) is Result.NEITHER
    assert breaker.result_of(BaseExceptionGroup("end", [asyncio.CancelledError()])) is Result.NEITHER


async def test_a_time_out_is_a_failure_and_only_its_own(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make("model", timeout=0.01)

    @breaker
    async def hang() -> None:
        await asyncio.Event().wait()

    for _ in range(2):
        with pytest.raises(TimeoutError, match=r"circuit 'model': no answer within 0\.01 s"):
            await hang()
    assert breaker.state is Phase.OPEN

    patient = make("patient", timeout=60.0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), patient:
            await asyncio.Event().wait()
    assert patient.circuit.results == {Result.NEITHER: 1}


async def test_a_stream_is_timed_from_item_to_item_and_not_while_it_is_read(
    make: Callable[..., CircuitBreaker],
) -> None:
    breaker = make("stream", timeout=0.05)

    @breaker
    async def tokens() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    stream = tokens()
    assert await anext(stream) == 1
    await asyncio.sleep(0.06)
    with pytest.raises(TimeoutError, match="no answer within"):
        await anext(stream)
    assert breaker.circuit.results == {Result.FAILURE: 1}


async def test_no_more_calls_at_a_time_than_the_bulkhead_has_places(
    make: Callable[..., CircuitBreaker],
) -> None:
    breaker, free = make("model", max_concurrent=2, max_wait_seconds=600), asyncio.Event()
    at_once = most = 0

    @breaker
    async def ask() -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await free.wait()
        at_once -= 1

    calls = [asyncio.create_task(ask()) for _ in range(7)]
    await asyncio.sleep(0)
    calls[-1].cancel()
    free.set()
    await asyncio.gather(*calls, return_exceptions=True)

    assert (most, breaker.circuit.results[Result.SUCCESS]) == (2, 6)


async def test_who_finds_no_place_in_time_is_refused_and_nothing_is_counted_against_the_service(
    make: Callable[..., CircuitBreaker],
) -> None:
    strict, patient = (
        make("strict", max_concurrent=1),
        make("patient", max_concurrent=1, max_wait_seconds=0.01),
    )
    for breaker in (strict, patient):
        async with breaker:
            for _ in range(5):
                with pytest.raises(BulkheadFull, match="1 calls are under way"):
                    async with breaker:
                        pass
        async with breaker:
            pass
        assert breaker.state is Phase.CLOSED


def test_threads_wait_for_the_same_places(make: Callable[..., CircuitBreaker]) -> None:
    breaker = make("model", max_concurrent=3, max_wait_seconds=600)
    at_once, most, lock = 0, 0, threading.Lock()
    gate = threading.Barrier(3)

    @breaker
    def ask() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        gate.wait(PATIENCE_SECONDS)
        with lock:
            at_once -= 1

    with ThreadPoolExecutor(9) as threads:
        list(threads.map(lambda _: ask(), range(9)))

    assert most == 3


def test_threads_that_find_it_half_open_together_send_one_probe(
    make: Callable[..., CircuitBreaker], clock: Clock
) -> None:
    breaker = make("model")
    fail(breaker)
    clock.now = 5.0
    together, refused = threading.Barrier(16), threading.Barrier(16)
    calls: list[int] = []

    def ask(number: int) -> None:
        together.wait(PATIENCE_SECONDS)
        try:
            with breaker:
                calls.append(number)
                refused.wait(PATIENCE_SECONDS)
        except CircuitOpen:
            refused.wait(PATIENCE_SECONDS)

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(ask, range(16)))

    assert len(calls) == 1
    assert breaker.state is Phase.CLOSED


async def test_of_thousands_of_callers_that_give_up_none_takes_a_place_along() -> None:
    guarded = CircuitBreaker("crowd", max_concurrent=10, max_wait_seconds=3600.0, minimum_calls=20_000)
    bulkhead, open_gate, most = guarded.parts[1], asyncio.Event(), 0
    assert bulkhead is not None

    @guarded
    async def call() -> None:
        nonlocal most
        most = max(most, bulkhead.used)
        await open_gate.wait()

    callers = [asyncio.create_task(call()) for _ in range(3_000)]
    await asyncio.sleep(0)
    for caller in reversed(callers):
        caller.cancel()
    ended = await asyncio.gather(*callers, return_exceptions=True)
    assert {type(each) for each in ended} == {asyncio.CancelledError}
    assert (most, bulkhead.used) == (10, 0)

    open_gate.set()
    await asyncio.gather(*(call() for _ in range(100)))
    assert (most, bulkhead.used) == (10, 0)


async def test_callers_that_give_up_as_places_come_free_lose_none_of_them() -> None:
    """Each place is given to one who waits, and who is cancelled in the same turn of the event loop."""
    guarded = CircuitBreaker("turns", max_concurrent=3, max_wait_seconds=3600.0, minimum_calls=20_000)
    bulkhead = guarded.parts[1]
    assert bulkhead is not None

    async def call(gate: asyncio.Event) -> None:
        async with guarded:
            await gate.wait()

    for _ in range(300):
        gates = [asyncio.Event() for _ in range(9)]
        callers = [asyncio.create_task(call(gate)) for gate in gates]
        await asyncio.sleep(0)
        for gate, waiting in zip(gates[:3], callers[3:6], strict=True):
            gate.set()
            waiting.cancel()
        await asyncio.sleep(0)
        for gate in gates:
            gate.set()
        await asyncio.gather(*callers, return_exceptions=True)

    assert bulkhead.used == 0


@pytest.mark.parametrize("probes", [3, 1000])
def test_of_ten_thousand_calls_at_once_a_half_open_circuit_lets_its_probes_through(probes: int) -> None:
    now = 0.0
    policy = Policy(minimum_calls=1, probes=probes, recovery_timeout=30.0)
    circuit = Circuit("probed", policy, clock=lambda: now)
    circuit.report(circuit.acquire(), Result.FAILURE)
    now = 30.0

    let = [permit for _ in range(10_000) if isinstance(permit := circuit._acquired(), Permit)]
    assert len(let) == probes

    for permit in let:
        circuit.report(permit, Result.NEITHER)
    again = [permit for _ in range(10_000) if isinstance(permit := circuit._acquired(), Permit)]
    assert len(again) == probes, "who said nothing gave the place to another"


async def test_an_open_circuit_refuses_at_once_though_the_bulkhead_is_full(
    make: Callable[..., CircuitBreaker],
) -> None:
    breaker = make("model", max_concurrent=1, max_wait_seconds=600)
    fail(breaker, 2)

    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(CircuitOpen):
            async with breaker:
                pass


async def test_a_fallback_answers_for_failures_and_refusals_and_not_for_bad_input(
    make: Callable[..., CircuitBreaker],
) -> None:
    heard: list[str] = []

    def sorry(why: Exception, question: str) -> str:
        heard.append(type(why).__name__)
        return f"not now: {question}"

    breaker = make("model", fallback=sorry, ignore=ValueError)

    @breaker
    async def ask(question: str) -> str:
        raise ValueError(question) if question == "bad" else ConnectionError

    assert [await ask("a") for _ in range(3)] == ["not now: a"] * 3
    assert heard == ["ConnectionError", "ConnectionError", "CircuitOpen"]
    with pytest.raises(ValueError, match="bad"):
        await make("other", fallback=sorry, ignore=ValueError)(ask.__wrapped__)("bad")  # type: ignore[attr-defined]


async def test_a_fallback_streams_where_nothing_was_told_yet(make: Callable[..., CircuitBreaker]) -> None:
    async def canned(_: Exception, after: int) -> AsyncIterator[str]:
        yield "sorry"

    breaker = make("model", fallback=canned)

    @breaker
    async def tokens(after: int) -> AsyncIterator[str]:
        for number in range(after):
            yield str(number)
        raise ConnectionError

    assert [token async for token in tokens(0)] == ["sorry"]
    told: list[str] = []
    with pytest.raises(ConnectionError):
        async for token in tokens(1):
            told.append(token)
    assert told == ["0"]
    assert [token async for token in tokens(1)] == ["sorry"]
    assert make("fixed", fallback="x")(lambda: 1 / 0)() == "x"


def test_breakers_of_one_name_are_one_circuit_and_others_are_not(make: Callable[..., CircuitBreaker]) -> None:
    one, same, other = make("model"), make("model"), make("search")

    fail(one)

    assert (same.state, other.state) == (Phase.OPEN, Phase.CLOSED)


def test_a_breaker_without_a_name_is_called_after_what_it_guards(make: Callable[..., CircuitBreaker]) -> None:
    breaker, block = CircuitBreaker(), CircuitBreaker()

    @breaker
    def ask() -> None: ...

    assert breaker.name.endswith("guards.<locals>.ask")
    assert block.name.startswith(f"{__name__}:")
    assert ask.__name__ == "ask"


def test_names_that_are_made_from_requests_do_not_fill_the_memory() -> None:
    for number in range(MOST + 50):
        CircuitBreaker(f"user {number}")

    assert len(CIRCUITS.all()) == MOST


def test_refusals_travel_between_processes() -> None:
    for refusal in (CircuitOpen("model", 3.0), BulkheadFull("model", 2, 0.5)):
        assert str(pickle.loads(pickle.dumps(refusal))) == str(refusal)


def test_a_breaker_needs_no_running_service() -> None:
    script = (
        "import lgs_runtime.breaker, sys; print(*{m for m in sys.modules if m.startswith('lgs_runtime.')})"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    own = ("lgs_runtime.breaker", "lgs_runtime.forking")
    assert all(name.startswith(own) for name in ran.stdout.split()), ran.stdout
