"""Results that are computed anew before they expire: which ones, for whom, and when never. The clock is the
test's; a turn of the replica is made by hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.config import get_config, get_store
from langgraph.store.memory import InMemoryStore
from structlog.testing import capture_logs

from lgs_runtime.cache import cached
from lgs_runtime.cache.current import serving
from lgs_runtime.cache.learning import RETRY_SECONDS
from lgs_runtime.cache.manager import MOST_REFRESHES, CacheManager
from lgs_runtime.cache.preloading import TURN_SECONDS, Preloader
from lgs_runtime.model_usage import NO_GRAPH, ModelUsage
from runtime.cache.conftest import NewCache
from support.ports import PATIENCE_SECONDS

TENANT: ContextVar[str] = ContextVar("tenant", default="nobody")


class Replica:
    """A replica whose time passes when the test says so."""

    def __init__(self, cache: CacheManager, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        self.cache = cache
        self.now = 1000.0
        self.calls: list[Any] = []
        monkeypatch.setattr(cache.memory, "_clock", lambda: self.now)
        monkeypatch.setattr(cache.learner, "_clock", lambda: self.now)
        monkeypatch.setattr("lgs_runtime.cache.values.now", lambda: self.now)
        self.preloader = Preloader(cache, clock=lambda: self.now, **options)

    async def pass_seconds(self, seconds: int, call: Callable[[], Any] | None = None) -> None:
        """Time passes, each second with a turn, and with a call if there is one."""
        for _ in range(seconds):
            self.now += TURN_SECONDS
            if call is not None:
                await call()
            await self.preloader.turn()
            await self.settled()

    async def settled(self) -> None:
        """What goes on beside the calls in this event loop has ended."""
        while tasks := [task for task in self.cache._tasks if not task.done()]:
            await asyncio.wait(tasks)

    def counts(self, namespace: str = "prices") -> Any:
        return self.cache.statistics.of(namespace)


@pytest.fixture
def replica(cache: CacheManager, monkeypatch: pytest.MonkeyPatch) -> Replica:
    return Replica(cache, monkeypatch)


def prices_of(replica: Replica, **options: Any) -> Any:
    """A function that returns how often it was called."""

    @cached(**{"ttl": 100, "namespace": "prices", **options})
    async def prices(of: Any = "a") -> int:
        replica.calls.append(of)
        return len(replica.calls)

    return prices


async def test_who_finds_a_wanted_result_late_in_its_life_has_it_computed_anew_and_does_not_wait(
    replica: Replica,
) -> None:
    prices = prices_of(replica)
    await replica.pass_seconds(300, prices)

    counts = replica.counts()
    assert counts.misses == 1
    assert counts.ahead == counts.refreshes == len(replica.calls) - 1
    assert 2 <= counts.ahead <= 4


async def test_a_result_that_is_hardly_wanted_expires(replica: Replica) -> None:
    prices = prices_of(replica, preload=True)
    for _ in range(4):
        await prices()
        await replica.pass_seconds(99)

    assert replica.counts().ahead == 0


async def test_the_replica_computes_by_itself_what_it_may_and_what_will_be_wanted(replica: Replica) -> None:
    prices = prices_of(replica, preload=True)
    for _ in range(20):
        await prices()
        await replica.pass_seconds(35)

    assert replica.counts().misses == 1
    assert replica.counts().ahead >= 4


async def test_the_replica_calls_by_itself_only_what_its_author_lets_it(replica: Replica) -> None:
    prices = prices_of(replica)
    for _ in range(20):
        await prices()
        await replica.pass_seconds(35)

    assert replica.counts().misses > 2


@pytest.mark.parametrize("forget", ["invalidate", "clear"])
async def test_a_result_that_was_forgotten_does_not_come_back_by_itself(
    replica: Replica, forget: str
) -> None:
    prices = prices_of(replica, preload=True)
    await replica.pass_seconds(80, prices)
    await (prices.invalidate() if forget == "invalidate" else prices.clear())
    before = len(replica.calls)
    await replica.pass_seconds(200)

    assert len(replica.calls) == before
    assert len(replica.cache.memory) == 0


async def test_a_result_that_is_forgotten_while_it_is_computed_ahead_is_not_kept(replica: Replica) -> None:
    entered, gate = asyncio.Event(), asyncio.Event()

    @cached(ttl=100, namespace="prices")
    async def prices() -> str:
        if replica.now > 1050:
            entered.set()
            await gate.wait()
            return "new"
        return "old"

    await replica.pass_seconds(49, prices)
    replica.now = 1095.0
    assert await prices() == "old"
    await asyncio.wait_for(entered.wait(), PATIENCE_SECONDS)
    await prices.invalidate()
    gate.set()
    await replica.settled()

    assert len(replica.cache.memory) == 0


@pytest.mark.parametrize("why", ["busy", "late", "stopping"])
async def test_nothing_is_computed_ahead_while_users_need_the_replica_or_when_it_stops(
    cache: CacheManager, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    busy = [False]
    replica = Replica(cache, monkeypatch, busy=lambda: busy[0])
    prices = prices_of(replica, preload=True)
    await replica.pass_seconds(80, prices)
    before = len(replica.calls)
    busy[0] = why == "busy"
    if why == "stopping":
        cache.stop_refreshing()
    for _ in range(12):
        replica.now += TURN_SECONDS + (0.5 if why == "late" else 0.0)
        await replica.preloader.turn()
        await prices()
    await replica.settled()

    assert len(replica.calls) == before


async def test_a_result_computed_by_itself_is_computed_for_nobody_with_the_services_store(
    cache: CacheManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = InMemoryStore()
    replica = Replica(cache, monkeypatch, store=store)
    seen: list[Any] = []

    @cached(ttl=100, namespace="prices", preload=True)
    async def prices() -> int:
        if replica.now > 1010:
            seen.append((TENANT.get(), get_store() is store, list(get_config()["configurable"])))
        return 1

    TENANT.set("the caller's")
    for _ in range(3):
        await prices()
        await replica.pass_seconds(33)

    assert seen == [("nobody", True, ["__pregel_runtime"])]


async def test_models_that_are_asked_ahead_of_any_run_are_counted(
    cache: CacheManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage, noted = ModelUsage(), []
    usage.note = lambda *call: noted.append(call)
    replica = Replica(cache, monkeypatch, followed=partial(usage.follow, NO_GRAPH))
    said = AIMessage("a", usage_metadata={"input_tokens": 7, "output_tokens": 5, "total_tokens": 12})
    model = GenericFakeChatModel(messages=iter([said] * 10))

    @cached(ttl=100, namespace="prices", preload=True)
    async def prices() -> int:
        await model.ainvoke("?")
        replica.calls.append(1)
        return 1

    for _ in range(3):
        await prices()
        await replica.pass_seconds(33)

    assert len(replica.calls) > 1
    assert noted == [(None, "unknown", 7, 5, 0)] * (len(replica.calls) - 1), "the first is of no run here"


async def test_what_is_kept_per_user_is_computed_anew_by_that_user_alone(
    new_cache: NewCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = ["ann"]
    cache = new_cache(user=lambda: user[0])
    with serving(cache):
        replica = Replica(cache, monkeypatch)

        @cached(ttl=100, namespace="prices", per_user=True)
        async def prices() -> str:
            replica.calls.append(user[0])
            return f"{user[0]}'s"

        async def both() -> None:
            for user[0] in ("ann", "bob"):
                assert await prices() == f"{user[0]}'s"
                await replica.settled()

        await replica.pass_seconds(150, both)
        assert replica.counts().ahead >= 2
        user[0] = "nobody"
        before = len(replica.calls)
        await replica.pass_seconds(300)

    assert len(replica.calls) == before


@pytest.mark.parametrize("options", [{"per_user": True}, {"key": lambda of: of}, {"ignore": ("of",)}])
def test_the_replica_can_not_call_by_itself_what_hangs_on_who_calls(options: dict[str, Any]) -> None:
    def prices(of: str) -> int:
        return 1

    with pytest.raises(TypeError, match="preload: True: must be off with per_user, key and ignore"):
        cached(ttl=10, preload=True, **options)(prices)


def test_a_longest_life_below_the_wished_one_is_refused() -> None:
    def prices(of: str) -> int:
        return 1

    with pytest.raises(ValueError, match="ttl_max: 5: must be at least ttl, which is 10"):
        cached(ttl=10, ttl_max=5)(prices)


async def test_a_call_whose_arguments_were_changed_since_is_not_made_again(replica: Replica) -> None:
    prices, of = prices_of(replica, preload=True), ["a"]
    await replica.pass_seconds(60, lambda: prices(of))
    of.append("b")
    before = len(replica.calls)
    await replica.pass_seconds(60)

    assert len(replica.calls) == before


async def test_a_call_with_large_arguments_is_not_remembered(replica: Replica) -> None:
    prices = prices_of(replica, preload=True)
    await replica.pass_seconds(60, lambda: prices("a" * 5000))
    before = len(replica.calls)
    await replica.pass_seconds(60)

    assert len(replica.calls) == before


async def test_a_computation_ahead_that_fails_is_counted_and_not_tried_again_at_once(
    replica: Replica,
) -> None:
    @cached(ttl=200, namespace="prices", preload=True)
    async def prices() -> int:
        replica.calls.append("call")
        if len(replica.calls) > 1:
            raise ConnectionError("away")
        return 1

    await replica.pass_seconds(199, prices)

    assert await prices() == 1
    assert 1 <= replica.counts().errors <= 1 + 20 * 1.5 / RETRY_SECONDS + 1
    assert replica.counts().ahead == 0


async def test_a_computation_ahead_that_fails_is_not_the_failure_of_who_waits_for_it(
    replica: Replica,
) -> None:
    entered, gate = asyncio.Event(), asyncio.Event()

    @cached(ttl=100, namespace="prices", preload=True)
    async def prices() -> str:
        if replica.now > 1050 and not entered.is_set():
            entered.set()
            await gate.wait()
            raise LookupError("no run, no configuration")
        return f"computed at {replica.now:.0f}"

    await replica.pass_seconds(49, prices)
    replica.now = 1099.0
    await replica.preloader.turn()
    await replica.preloader.turn()
    await asyncio.wait_for(entered.wait(), PATIENCE_SECONDS)
    replica.now = 1150.0
    waits = asyncio.create_task(prices())
    while replica.counts().waits == 0:
        await asyncio.sleep(0)
    gate.set()

    assert await asyncio.wait_for(waits, PATIENCE_SECONDS) == "computed at 1150"
    assert replica.counts().errors == 1


async def test_however_many_results_are_due_a_few_are_computed_at_a_time(replica: Replica) -> None:
    under_way, most, gate = [0], [0], asyncio.Event()

    @cached(ttl=100, namespace="prices", preload=True)
    async def prices(of: int) -> int:
        if replica.now > 1050:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
            await gate.wait()
            under_way[0] -= 1
        return of

    async def all_of_them() -> None:
        for of in range(40):
            await prices(of)

    await replica.pass_seconds(40, all_of_them)
    replica.now = 1101.5
    for _ in range(5):
        await replica.preloader.turn()
        replica.now += TURN_SECONDS
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    gate.set()
    await replica.settled()

    assert most[0] <= MOST_REFRESHES


async def test_a_sync_function_is_called_by_the_replica_in_a_thread(replica: Replica) -> None:
    computed = threading.Event()

    @cached(ttl=100, namespace="prices", preload=True)
    def prices() -> str:
        if replica.now > 1050:
            computed.set()
        return threading.current_thread().name

    async def call() -> None:
        prices()

    await replica.pass_seconds(60, call)
    await replica.pass_seconds(39)
    assert await asyncio.to_thread(computed.wait, PATIENCE_SECONDS)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while replica.counts().ahead == 0:
            await asyncio.sleep(0.01)

    assert prices() == "cache-refresh"


def test_a_computation_that_an_event_loop_left_behind_costs_the_replica_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache = CacheManager()
    with serving(cache):
        replica = Replica(cache, monkeypatch)

        @cached(ttl=100, stale=100, namespace="prices")
        async def prices() -> int:
            if replica.now > 1050:
                await asyncio.get_running_loop().create_future()
            return 1

        loop = asyncio.new_event_loop()
        loop.run_until_complete(prices())
        replica.now = 1150.0
        assert loop.run_until_complete(prices()) == 1
        left = tuple(cache._tasks)
        loop.close()
        asyncio.run(cache.close())

    assert [task.get_loop().is_closed() for task in left] == [True]
    for task in left:
        task.get_coro().close()  # type: ignore[union-attr]


async def test_a_longer_life_is_given_to_new_results_and_told(replica: Replica) -> None:
    prices = prices_of(replica, ttl=10, ttl_max=40)
    await prices()
    counts = replica.counts()
    with capture_logs() as logs:
        for rate in [0.9] * 10 + [0.4]:
            counts.hits += int(1000 * rate)
            counts.misses += int(1000 * (1 - rate))
            replica.now += 60.0
            await replica.preloader.turn()
    await prices()
    replica.now += 14.0
    await prices()

    (told,) = [line for line in logs if line["event"] == "cache.tuned"]
    assert (told["namespace"], told["ttl_factor"]) == ("prices", 1.5)
    assert told["why"].startswith("the hit rate fell to 0.40 from 0.90")
    assert len(replica.calls) == 2
