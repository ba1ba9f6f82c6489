"""`@cached`: what is kept, for how long, for whom, and how a function that can't be cached is refused."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from structlog.testing import capture_logs

from lgs_runtime.breaker import CircuitBreaker, CircuitOpen
from lgs_runtime.breaker.registry import CIRCUITS
from lgs_runtime.cache import UncacheableArgument, cached
from lgs_runtime.cache.manager import CacheManager
from runtime.cache.conftest import LONG
from support.ports import PATIENCE_SECONDS
from support.waiting import until

CALLS: list[Any] = []
"""What was computed, in this test."""


@pytest.fixture(autouse=True)
def _nothing_yet(cache: CacheManager) -> Iterator[None]:
    CALLS.clear()
    yield
    # All that runs in this process after these tests would have their circuits.
    CIRCUITS.clear()


def of_caches(logs: Sequence[Any]) -> list[Any]:
    """What caches have logged; replicas of other tests may be in this process."""
    return [line for line in logs if line["event"].startswith("cache.")]


@cached(ttl=60)
async def look_up(question: Any, answer: Any = None) -> Any:
    CALLS.append(question)
    await asyncio.sleep(0)
    return answer


@cached(ttl=60)
def look_up_sync(question: Any, answer: Any = None) -> Any:
    CALLS.append(question)
    return answer


@pytest.mark.parametrize("answer", [None, False, 0, "", [], {}])
async def test_a_result_that_is_nothing_is_kept_like_any_other(answer: Any) -> None:
    assert [await look_up("a", answer), await look_up("a", answer)] == [answer, answer]
    assert [look_up_sync("b", answer), look_up_sync("b", answer)] == [answer, answer]
    assert CALLS == ["a", "b"]


async def test_what_is_kept_above_a_breaker_is_answered_while_it_is_open_and_below_it_is_not() -> None:
    breaker = CircuitBreaker("behind what is kept", failure_threshold=0.5, minimum_calls=2)

    async def ask(question: str) -> str:
        if question == "sick":
            raise ConnectionError
        return question

    above = cached(namespace="above")(breaker(ask))
    below = breaker(cached(namespace="below")(ask))
    assert [await above("well"), await below("well")] == ["well", "well"]
    for _ in range(2):
        with pytest.raises(ConnectionError):
            await above("sick")

    assert (breaker.state, await above("well")) == ("open", "well")
    with pytest.raises(CircuitOpen):
        await below("well")


def test_a_function_of_a_decorator_is_told_where_it_belongs() -> None:
    with pytest.raises(
        TypeError, match=r"look_up: is the function of a decorator, .* below other decorators"
    ):
        cached()(CircuitBreaker("kept by nobody", failure_threshold=0.5)(look_up.__wrapped__))


async def test_what_a_caller_changes_is_its_own() -> None:
    (await look_up("a", {"found": [1]}))["found"].append(2)

    assert await look_up("a", {"found": [1]}) == {"found": [1]}


async def test_what_a_function_raises_is_not_kept() -> None:
    @cached(ttl=60)
    async def fail() -> None:
        CALLS.append("fail")
        raise LookupError("nothing")

    for _ in range(2):
        with pytest.raises(LookupError):
            await fail()

    assert CALLS == ["fail", "fail"]


async def test_a_value_that_can_not_be_stored_is_returned_and_told_once(cache: CacheManager) -> None:
    with capture_logs() as logs:
        answers = [await look_up("a", ANSWER) for _ in range(3)]

    assert answers == [ANSWER] * 3
    assert CALLS == ["a", "a", "a"]
    assert cache.statistics.total().errors == 3
    assert [(log["event"], log["namespace"]) for log in of_caches(logs)] == [
        ("cache.not_storable", f"{__name__}.look_up")
    ]


async def test_in_a_replica_a_call_that_makes_no_key_is_made_counted_and_told_once(
    cache: CacheManager,
) -> None:
    @cached(ttl=60)
    async def price(client: object) -> str:
        CALLS.append("price")
        return "7"

    @cached(ttl=60)
    def name(client: object) -> str:
        CALLS.append("name")
        return "tea"

    with capture_logs() as logs:
        found = [(await price(object()), name(object())) for _ in range(2)]

    assert found == [("7", "tea")] * 2
    assert CALLS == ["price", "name"] * 2
    assert cache.statistics.total().errors == 4
    told = of_caches(logs)
    assert [log["event"] for log in told] == ["cache.no_key"] * 2
    assert "argument 'client' is an object" in told[0]["reason"]
    with pytest.raises(UncacheableArgument):
        await price.invalidate(object())


async def test_in_a_replica_a_key_function_that_raises_fails_no_call(cache: CacheManager) -> None:
    @cached(ttl=60, key=lambda question: question[100])
    async def answer(question: str) -> str:
        CALLS.append(question)
        return "7"

    with capture_logs() as logs:
        found = [await answer("short") for _ in range(2)]

    assert (found, CALLS) == (["7", "7"], ["short"] * 2)
    assert cache.statistics.total().errors == 2
    (told,) = of_caches(logs)
    assert told["event"] == "cache.no_key"
    assert "its key function raised IndexError: string index out of range" in told["reason"]
    with pytest.raises(UncacheableArgument, match="IndexError"):
        await answer.invalidate("short")


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


@dataclass
class Odd:
    part: int = 1

    def __getattribute__(self, name: str) -> Any:
        if name == "part":
            raise Speechless()
        return super().__getattribute__(name)


def speechless(_question: object) -> str:
    raise Speechless()


class OddlyStored(BaseModel):
    part: int = 1

    def __getstate__(self) -> Any:
        raise Speechless()


@pytest.mark.parametrize(
    ("key", "asked", "answered"),
    [(None, Odd(), 7), (speechless, "a", 7), (None, "a", OddlyStored())],
    ids=["argument", "key function", "result"],
)
async def test_an_error_that_can_not_say_what_it_is_fails_no_call(
    cache: CacheManager, key: Callable[..., str] | None, asked: Any, answered: Any
) -> None:
    @cached(ttl=60, namespace="speechless", key=key)
    async def answer(_question: Any) -> Any:
        return next(iter([answered]))

    with capture_logs() as logs:
        found = await answer(asked)

    assert found is answered
    assert cache.statistics.total().errors == 1
    assert len(of_caches(logs)) == 1


class Unstorable:
    """Its key is given by hand; msgpack has no form for it."""


ANSWER = Unstorable()


@pytest.fixture(autouse=True)
def _a_key_for_answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The answer of the test above is an argument too."""
    from lgs_runtime.cache import keys  # noqa: PLC0415 - patched here alone

    monkeypatch.setattr(keys, "TEXTS", {**keys.TEXTS, Unstorable: lambda _: "unstorable"})
    yield


async def test_an_entry_lives_as_long_as_it_was_told(
    cache: CacheManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(cache.memory, "_clock", lambda: now[0])

    await look_up("a")
    now[0] = 59.0
    await look_up("a")
    now[0] = 61.0
    await look_up("a")

    assert CALLS == ["a", "a"]


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), "60", True, timedelta(0)])
def test_a_time_to_live_that_is_none_is_refused_at_once(ttl: Any) -> None:
    with pytest.raises(ValueError, match=r"look_up: ttl: .*: must be a number of seconds, more than 0"):
        cached(ttl=ttl)(look_up.__wrapped__)


@pytest.mark.parametrize("stale", [-1, float("nan"), None])
def test_a_stale_time_that_is_none_is_refused_at_once(stale: Any) -> None:
    with pytest.raises(ValueError, match=r"stale: .*: must be a number of seconds, 0 or more"):
        cached(ttl=1, stale=stale)(look_up.__wrapped__)


def test_a_parameter_to_ignore_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="ignore: client: must be a parameter; there are: question, answer"):
        cached(ttl=1, ignore=("client",))(look_up.__wrapped__)


def test_a_decorator_without_its_brackets_is_told() -> None:
    with pytest.raises(TypeError, match=r"write @cached\(\)"):
        cached(look_up.__wrapped__)  # type: ignore[arg-type]


def test_a_stream_is_refused() -> None:
    async def tokens() -> AsyncIterator[str]:
        yield "a"

    with pytest.raises(TypeError, match="a stream can't be kept"):
        cached(ttl=1)(tokens)


def test_a_function_that_depends_on_the_one_around_it_must_say_that_it_does_not() -> None:
    def made(prefix: str) -> Any:
        def greet(name: str) -> str:
            return prefix + name

        return greet

    with pytest.raises(TypeError, match="uses prefix of the function around it"):
        cached(ttl=1)(made("a"))
    assert cached(ttl=1, namespace="greetings")(made("hello "))("you") == "hello you"


async def test_two_functions_with_the_same_arguments_keep_to_themselves() -> None:
    @cached(ttl=60)
    async def other(question: str, answer: str) -> str:
        return "other " + answer

    assert [await look_up("a", "b"), await other("a", "b")] == ["b", "other b"]


HANDLERS = """
from lgs_runtime.cache import cached

found = []
for_all = lambda function: found.append(function)

@for_all
@cached(ttl=60)
async def _(question):
    return f"order {question}"

@for_all
@cached(ttl=60)
async def _(question):
    return f"parcel {question}"
"""


def loaded(name: str, text: str) -> list[Any]:
    module: dict[str, Any] = {"__name__": name}
    exec(text, module)
    found: list[Any] = module["found"]
    return found


async def test_functions_of_one_name_in_a_module_keep_to_themselves() -> None:
    order, parcel = loaded("handlers", HANDLERS)

    found = [await order("7"), await parcel("7"), await order("7")]

    assert found == ["order 7", "parcel 7", "order 7"]


async def test_a_function_of_a_module_that_is_loaded_anew_has_the_results_that_it_had(
    cache: CacheManager,
) -> None:
    module = HANDLERS.rpartition("@for_all")[0]
    (before,) = loaded("anew", module)
    (after,) = loaded("anew", module)

    found = [await before("7"), await after("7")]

    assert (found, cache.statistics.total().sets) == (["order 7"] * 2, 1)


async def test_a_key_of_ones_own_tells_calls_apart() -> None:
    @cached(ttl=60, key=lambda question: question.lower())
    async def answer(question: str) -> str:
        CALLS.append(question)
        return question

    assert [await answer("A"), await answer("a"), await answer("b")] == ["A", "A", "b"]


async def test_another_version_of_a_function_starts_anew() -> None:
    def version(name: str) -> Callable[[], Awaitable[str]]:
        @cached(ttl=60, namespace="versioned", version=name)
        async def answer() -> str:
            return name

        return answer

    assert [await version("1")(), await version("2")()] == ["1", "2"]


async def test_users_share_results_unless_a_function_says_that_they_must_not(cache: CacheManager) -> None:
    user: ContextVar[str | None] = ContextVar("user", default=None)
    cache.user = user.get

    @cached(ttl=60, per_user=True, namespace="balance")
    async def balance() -> str:
        CALLS.append(user.get())
        return f"of {user.get()}"

    found = []
    for name in ("alice", "bob", "alice", None, "None"):
        user.set(name)
        found.append(await balance())
        await look_up("shared")

    assert found == ["of alice", "of bob", "of alice", "of None", "of None"]
    assert CALLS == ["alice", "shared", "bob", None, "None"]


async def test_what_is_invalidated_is_computed_again() -> None:
    await look_up("a")
    await look_up("b")

    assert [await look_up.invalidate("a"), await look_up.invalidate("a")] == [True, False]
    for question in "ab":
        await look_up(question)
    assert CALLS == ["a", "b", "a"]


async def test_what_is_invalidated_of_a_sync_function_is_computed_again() -> None:
    look_up_sync("a")
    look_up_sync("b")

    assert [look_up_sync.invalidate("a"), look_up_sync.invalidate("a")] == [True, False]
    for question in "ab":
        look_up_sync(question)
    assert CALLS == ["a", "b", "a"]


async def test_a_function_is_cleared_without_the_others() -> None:
    await look_up("a")
    look_up_sync("b")
    look_up_sync("c")

    assert look_up_sync.clear() == 2
    await look_up("a")
    look_up_sync("b")
    assert CALLS == ["a", "b", "c", "b"]


async def test_a_value_that_is_invalidated_as_it_is_computed_is_not_kept() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    @cached(ttl=60, namespace="slow")
    async def slow() -> int:
        CALLS.append("slow")
        begun.set()
        await go_on.wait()
        return len(CALLS)

    first = asyncio.create_task(slow())
    await begun.wait()
    await slow.invalidate()
    go_on.set()

    assert [await first, await slow()] == [1, 2]


def test_without_a_replica_and_without_an_event_loop_the_process_keeps_results() -> None:
    with ThreadPoolExecutor(1) as alone:
        alone.submit(look_up_sync, "a").result()
        alone.submit(look_up_sync, "a").result()
        assert alone.submit(asyncio.run, look_up("b", 1)).result() == 1
        assert alone.submit(asyncio.run, look_up("b", 1)).result() == 1

    assert CALLS == ["a", "b"]


def test_a_cached_function_looks_like_the_function() -> None:
    assert inspect.iscoroutinefunction(look_up)
    assert not inspect.iscoroutinefunction(look_up_sync)
    assert list(inspect.signature(look_up).parameters) == ["question", "answer"]
    assert look_up.__name__ == "look_up"


async def test_an_old_value_is_answered_while_one_computes_it_anew(
    cache: CacheManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(cache.memory, "_clock", lambda: now[0])
    monkeypatch.setattr("lgs_runtime.cache.values.now", lambda: now[0])
    again = asyncio.Event()

    @cached(ttl=10, stale=100, namespace="rates")
    async def rates() -> int:
        CALLS.append("rates")
        if len(CALLS) > 1:
            again.set()
        return len(CALLS)

    first = await rates()
    now[0] += 50
    second = [await rates() for _ in range(3)]
    await again.wait()
    while cache.statistics.of("rates").refreshes == 0:
        await asyncio.sleep(0)

    assert (first, second, await rates()) == (1, [1, 1, 1], 2)
    assert CALLS == ["rates", "rates"]
    assert cache.statistics.of("rates").stale == 3


async def test_an_old_value_of_a_sync_function_is_computed_anew_in_a_thread(
    cache: CacheManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(cache.memory, "_clock", lambda: now[0])
    monkeypatch.setattr("lgs_runtime.cache.values.now", lambda: now[0])
    computed = threading.Event()

    @cached(ttl=10, stale=100, namespace="sync rates")
    def rates() -> int:
        CALLS.append(threading.current_thread().name)
        if len(CALLS) > 1:
            computed.set()
        return len(CALLS)

    rates()
    now[0] += 50
    old = rates()
    await asyncio.to_thread(computed.wait, PATIENCE_SECONDS)
    while cache.statistics.of("sync rates").refreshes == 0:
        await asyncio.sleep(0.01)

    assert (old, rates(), CALLS[1]) == (1, 2, "cache-refresh")


@pytest.mark.parametrize("raised", [ConnectionError("away"), Speechless(), SystemExit(3)], ids=repr)
async def test_a_refresh_that_fails_leaves_the_old_value_and_is_counted(
    cache: CacheManager, monkeypatch: pytest.MonkeyPatch, raised: BaseException
) -> None:
    now = [1000.0]
    monkeypatch.setattr(cache.memory, "_clock", lambda: now[0])
    monkeypatch.setattr("lgs_runtime.cache.values.now", lambda: now[0])

    @cached(ttl=10, stale=100, namespace="failing")
    async def failing() -> int:
        CALLS.append("failing")
        if len(CALLS) > 1:
            raise raised
        return 1

    await failing()
    now[0] += 50
    await failing()
    while cache.statistics.of("failing").errors == 0:
        await asyncio.sleep(0)

    assert await failing() == 1


async def test_a_refresh_that_never_ends_is_given_up_by_a_call_that_needs_it(
    cache: CacheManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(cache.memory, "_clock", lambda: now[0])
    monkeypatch.setattr("lgs_runtime.cache.values.now", lambda: now[0])
    ended: list[str] = []

    @cached(ttl=10, stale=100, namespace="hanging")
    async def hanging() -> int:
        CALLS.append("hanging")
        if len(CALLS) == 2:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.append("cancelled")
        return len(CALLS)

    await hanging()
    now[0] += 50
    await hanging()
    (flight,) = cache._refreshing
    while len(CALLS) < 2:
        await asyncio.sleep(0)
    now[0] += 100
    flight.began -= LONG
    with capture_logs() as logs:
        found = await asyncio.gather(*(hanging() for _ in range(3)))

    assert (found, len(CALLS)) == ([3, 3, 3], 3)
    assert await hanging() == 3
    assert [log["event"] for log in of_caches(logs)] == ["cache.refresh_given_up"]
    while cache._refreshing:
        await asyncio.sleep(0)
    assert ended == ["cancelled"]


async def test_who_waits_for_a_refresh_that_hangs_goes_on_when_its_time_is_up(
    cache: CacheManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_runtime.cache.manager.FOLLOW_SECONDS", 0.1)
    now, go_on = [1000.0], threading.Event()
    monkeypatch.setattr(cache.memory, "_clock", lambda: now[0])
    monkeypatch.setattr("lgs_runtime.cache.values.now", lambda: now[0])

    @cached(ttl=10, stale=100, namespace="hanging threads")
    def hanging() -> int:
        CALLS.append("hanging")
        if len(CALLS) == 2:
            go_on.wait(PATIENCE_SECONDS)
        return len(CALLS)

    try:
        await asyncio.to_thread(hanging)
        now[0] += 50
        await asyncio.to_thread(hanging)
        await until(lambda: len(CALLS) == 2, "it is computed anew")
        now[0] += 100
        assert await asyncio.to_thread(hanging) == 3
        assert await asyncio.to_thread(hanging) == 3
        assert len(cache._refreshing) == 1, "its thread is still there"
    finally:
        go_on.set()
    while cache._refreshing:
        await asyncio.sleep(0.01)
    assert await asyncio.to_thread(hanging) == 3, "what was given up is not kept"
