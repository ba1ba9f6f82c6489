"""The cache of nodes and tasks, by LangGraph's own policies: in graphs as it runs them."""

from __future__ import annotations

import asyncio
import operator
import threading
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.types import CachePolicy, Send, interrupt

from lgs_runtime.cache import NodeCache, cache_key
from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.cache.response import ResponseCache, check_policies
from lgs_runtime.errors import ConfigError
from support.ports import PATIENCE_SECONDS

NewCache = Callable[..., CacheManager]
CALLS: list[str] = []
POLICY: CachePolicy[Any] = CachePolicy(key_func=cache_key)


class State(TypedDict, total=False):
    said: Annotated[list[Any], operator.add]
    question: Annotated[str, lambda _, latest: latest]


@pytest.fixture(autouse=True)
def _nothing_yet() -> None:
    CALLS.clear()


def single(node: Any, policy: CachePolicy[Any] = POLICY, cache: Any = None) -> Any:
    """A graph of one cached node."""
    builder = StateGraph(State)
    builder.add_node("node", node, cache_policy=policy)
    builder.add_edge(START, "node")
    return builder.compile(cache=cache)


class Says:
    """A node that is an object: LangGraph has no name for what it does."""

    def __init__(self, word: Any) -> None:
        self.word = word

    async def __call__(self, state: State) -> State:
        CALLS.append(str(self.word))
        return {"said": [self.word]}


async def test_two_graphs_whose_nodes_langgraph_calls_alike_keep_to_themselves(
    cache: CacheManager,
) -> None:
    one, other = (single(Says(name), cache=ResponseCache(cache, name)) for name in ("one", "other"))

    answers = [await graph.ainvoke({"question": "a"}) for graph in (one, other, one)]

    assert [answer["said"] for answer in answers] == [["one"], ["other"], ["one"]]
    assert CALLS == ["one", "other"]


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
async def test_nodes_of_one_name_in_two_subgraphs_keep_to_themselves(cache: CacheManager, sync: bool) -> None:
    def says(word: str) -> Any:
        def node(state: State) -> State:
            CALLS.append(word)
            return {"said": [word]}

        return node

    builder = StateGraph(State)
    for name in ("left", "right"):
        builder.add_node(name, single(says(name), cache=NodeCache("sub")))
        builder.add_edge(START, name)
    graph = builder.compile()
    given: State = {"question": "a"}

    for _ in range(2):
        answer = await asyncio.to_thread(graph.invoke, given) if sync else await graph.ainvoke(given)
        assert sorted(answer["said"]) == ["left", "right"]

    assert sorted(CALLS) == ["left", "right"]


@pytest.mark.parametrize("sync", [False, True], ids=["async", "sync"])
async def test_nodes_that_run_beside_each_other_in_a_subgraph_are_kept_as_those_of_the_subgraph(
    cache: CacheManager, *, sync: bool
) -> None:
    """LangGraph keeps what a sync one returned in a thread that knows nothing of the subgraph."""
    beside = threading.Barrier(4)

    def says(word: str) -> Any:
        def node(state: State) -> State:
            CALLS.append(word)
            beside.wait(PATIENCE_SECONDS)
            return {"said": [word]}

        return node

    def both(word: str) -> Any:
        builder = StateGraph(State)
        for name in ("one", "two"):
            builder.add_node(name, says(word), cache_policy=POLICY)
            builder.add_edge(START, name)
        return builder.compile(cache=NodeCache("sub"))

    builder = StateGraph(State)
    for word in ("left", "right"):
        builder.add_node(word, both(word))
        builder.add_edge(START, word)
    graph, given = builder.compile(), State(question="a")

    for _ in range(2):
        answer = await asyncio.to_thread(graph.invoke, given) if sync else await graph.ainvoke(given)
        assert sorted(answer["said"]) == ["left", "left", "right", "right"]

    assert sorted(CALLS) == ["left", "left", "right", "right"]


async def test_runs_that_need_the_same_at_once_compute_it_once(cache: CacheManager) -> None:
    go_on = asyncio.Event()

    async def slow(state: State) -> State:
        CALLS.append("slow")
        await go_on.wait()
        return {"said": ["done"]}

    graph = single(slow, cache=ResponseCache(cache, "graph"))
    runs = [asyncio.create_task(graph.ainvoke({"question": "a"})) for _ in range(10)]
    while cache.statistics.total().waits < 9:
        await asyncio.sleep(0)
    go_on.set()

    assert [run["said"] for run in await asyncio.gather(*runs)] == [["done"]] * 10
    assert CALLS == ["slow"]


@pytest.mark.parametrize("how", ["raises", "cancelled", "interrupted"])
async def test_when_the_run_that_computes_ends_without_a_value_another_goes_on(
    cache: CacheManager, how: str
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(state: State) -> State:
        CALLS.append("slow")
        begun.set()
        await go_on.wait()
        if len(CALLS) == 1 and how == "raises":
            raise LookupError("first")
        if len(CALLS) == 1 and how == "interrupted":
            interrupt("who?")
        return {"said": ["done"]}

    builder = StateGraph(State)
    builder.add_node("node", slow, cache_policy=POLICY)
    builder.add_edge(START, "node")
    graph = builder.compile(cache=ResponseCache(cache, "graph"), checkpointer=InMemorySaver())
    runs = []
    for name in "ab":
        config: Any = {"configurable": {"thread_id": name}}
        runs.append(asyncio.create_task(graph.ainvoke({"question": "a"}, config)))
        await begun.wait()
    while cache.statistics.total().waits < 1:
        await asyncio.sleep(0)

    if how == "cancelled":
        runs[0].cancel()
    go_on.set()
    first, second = await asyncio.gather(*runs, return_exceptions=True)

    assert isinstance(first, BaseException) or "__interrupt__" in first
    assert isinstance(second, dict)
    assert second["said"] == ["done"]
    assert CALLS == ["slow", "slow"]


async def test_a_step_with_more_to_do_waits_for_nobody(cache: CacheManager) -> None:
    async def one(state: State) -> State:
        CALLS.append(state["question"])
        return {"said": [state["question"]]}

    builder = StateGraph(State)
    builder.add_node("one", one, cache_policy=POLICY)
    builder.add_conditional_edges(START, lambda _: [Send("one", {"question": each}) for each in "abca"])
    graph = builder.compile(cache=ResponseCache(cache, "graph"))

    async with asyncio.timeout(PATIENCE_SECONDS):
        answers = [(await graph.ainvoke({}))["said"] for _ in range(2)]

    assert [sorted(answer) for answer in answers] == [["a", "a", "b", "c"]] * 2
    assert len(CALLS) <= 5


async def test_a_result_that_can_not_be_stored_does_not_fail_its_run(cache: CacheManager) -> None:
    graph = single(Says(object()), cache=ResponseCache(cache, "graph"))

    answers = [await graph.ainvoke({"question": "a"}) for _ in range(2)]

    assert [len(answer["said"]) for answer in answers] == [1, 1]
    assert len(CALLS) == 2
    assert cache.statistics.of("graph/node").errors == 2


async def test_what_a_node_returned_comes_back_as_it_was(cache: CacheManager) -> None:
    async def node(state: State) -> State:
        return {"said": [(1, (2,)), {"a": (3,)}, None]}

    graph = single(node, cache=ResponseCache(cache, "graph"))

    first, second = [await graph.ainvoke({"question": "a"}) for _ in range(2)]

    assert first == second == {"said": [(1, (2,)), {"a": (3,)}, None], "question": "a"}
    assert cache.statistics.of("graph/node").hits == 1


async def test_tasks_are_cached_by_their_policy(cache: CacheManager) -> None:
    @task(cache_policy=POLICY)
    async def double(number: int) -> int:
        CALLS.append(f"double {number}")
        return 2 * number

    @entrypoint(cache=ResponseCache(cache, "graph"))
    async def work(number: int) -> int:
        return await double(number) + await double(number)

    assert [await work.ainvoke(2), await work.ainvoke(2)] == [8, 8]
    assert CALLS == ["double 2"]


@pytest.mark.parametrize("ttl", [0, -1, float("nan")])
def test_a_node_with_a_time_to_live_that_is_none_is_refused_as_the_graph_is_loaded(ttl: float) -> None:
    graph = single(Says("a"), CachePolicy(key_func=cache_key, ttl=ttl))  # type: ignore[arg-type]

    with pytest.raises(ConfigError, match=r"agent: node node: cache_policy.ttl: .*: must be .*more than"):
        check_policies("agent", graph)


async def test_a_task_with_a_time_to_live_that_is_none_is_counted_and_not_kept(cache: CacheManager) -> None:
    graph = single(Says("a"), CachePolicy(key_func=cache_key, ttl=0), ResponseCache(cache, "graph"))

    for _ in range(2):
        await graph.ainvoke({"question": "a"})

    assert CALLS == ["a", "a"]
    assert cache.statistics.of("graph/node").errors == 2


async def test_clearing_the_cache_of_a_graph_leaves_that_of_others(cache: CacheManager) -> None:
    one, other = (single(Says(name), cache=ResponseCache(cache, name)) for name in ("one", "other"))
    for graph in (one, other):
        await graph.ainvoke({"question": "a"})

    await one.aclear_cache()
    for graph in (one, other):
        await graph.ainvoke({"question": "a"})

    assert CALLS == ["one", "other", "one"]


async def test_a_sync_graph_in_a_thread_finds_what_another_replica_computed(
    new_cache: NewCache, redis_uri: str
) -> None:
    for _ in range(2):
        graph = single(says_sync, cache=ResponseCache(new_cache(redis_uri), "graph"))
        assert (await asyncio.to_thread(graph.invoke, {"question": "a"}))["said"] == ["sync"]

    assert CALLS == ["sync"]


def says_sync(state: State) -> State:
    CALLS.append("sync")
    return {"said": ["sync"]}


async def test_a_replica_without_a_policy_asks_no_redis(new_cache: NewCache, redis_uri: str) -> None:
    cache = new_cache(redis_uri)
    builder = StateGraph(State)
    builder.add_node("node", says_sync)
    builder.add_edge(START, "node")
    graph = builder.compile(cache=ResponseCache(cache, "graph"))

    await graph.ainvoke({"question": "a"})

    assert cache.changes == 0
    assert list(cache.statistics.rows()) == []
