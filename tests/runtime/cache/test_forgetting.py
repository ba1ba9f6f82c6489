"""What is forgotten is forgotten: nothing that was read or computed before is found after, whatever was under
way as it was forgotten."""

from __future__ import annotations

import asyncio
import operator
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph
from langgraph.types import CachePolicy, Send
from structlog.testing import capture_logs

from lgs_runtime.cache import cache_key
from lgs_runtime.cache.forgetting import MOST_CLEARED, Cleared
from lgs_runtime.cache.found import Found, Life
from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.cache.place import KeyNames, Place
from lgs_runtime.cache.response import ResponseCache
from lgs_runtime.cache.shared import SharedCacheRefused
from lgs_runtime.cache.single_flight import Flight
from lgs_runtime.cache.statistics import MOST_NAMESPACES
from support.caches import listening
from support.ports import PATIENCE_SECONDS
from support.waiting import until

NewCache = Callable[..., CacheManager]
LIFE = Life(3600.0)
NOBODY: frozenset[Flight] = frozenset()
NODE = ("write", "node")


class Said(TypedDict, total=False):
    run: int
    said: Annotated[list[str], operator.add]


async def forgotten(cache: CacheManager, place: Place, how: str) -> None:
    if how == "forget":
        assert await cache.forget(place)
    else:
        assert await cache.clear(place.namespace if how == "clear" else None) == 1


@asynccontextmanager
async def answer_held(cache: CacheManager, ask: str) -> AsyncIterator[tuple[asyncio.Event, asyncio.Event]]:
    """While the context is open Redis has answered what is asked so, and the answer is on its way: the first
    event says so, the second lets it come."""
    assert cache._replicas is not None
    shared = cache._replicas._shared
    answers, comes = asyncio.Event(), asyncio.Event()
    asked = getattr(shared, ask)

    async def held(*args: Any) -> Any:
        answer = await asked(*args)
        answers.set()
        await comes.wait()
        return answer

    setattr(shared, ask, held)
    try:
        yield answers, comes
    finally:
        comes.set()
        setattr(shared, ask, asked)


@pytest.mark.parametrize("how", ["forget", "clear", "clear all"])
@pytest.mark.parametrize("ask", ["read", "read_or_lease"])
async def test_an_answer_of_redis_that_comes_after_its_value_was_forgotten_here_is_not_kept(
    new_cache: NewCache, redis_uri: str, ask: str, how: str
) -> None:
    cache = new_cache(redis_uri)
    place = cache.place("function", "key")
    await listening(cache)
    await cache.write([(place, "old", LIFE)])
    cache.memory.clear()

    async with answer_held(cache, ask) as (answers, comes):
        look = cache.read([place]) if ask == "read" else cache.enter(place, LIFE, NOBODY)
        asking = asyncio.create_task(look)
        await answers.wait()
        await forgotten(cache, place, how)
        comes.set()
        await asking

    assert cache.peek(place) is None


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "elsewhere"])
async def test_who_asks_after_a_value_was_forgotten_gets_no_answer_that_was_on_its_way_before(
    new_cache: NewCache, redis_uri: str, *, elsewhere: bool
) -> None:
    cache, other = new_cache(redis_uri), new_cache(redis_uri)
    place = cache.place("function", "key")
    await listening(cache, other)
    await cache.write([(place, "old", LIFE)])
    cache.memory.clear()

    async with answer_held(cache, "read_or_lease") as (answers, comes):
        first = asyncio.create_task(cache.enter(place, LIFE, NOBODY))
        await answers.wait()
        changes = cache.changes
        await forgotten(other if elsewhere else cache, place, "forget")
        await until(lambda: not elsewhere or cache.changes > changes)
        second = asyncio.create_task(cache.enter(place, LIFE, NOBODY))
        await until(lambda: cache.statistics.of("function").waits > 0)
        comes.set()
        computes = await first
        assert isinstance(computes, Flight)
        await cache.land(place, computes, "new", LIFE)

    found = await second
    assert not isinstance(found, Found) or found.value == "new"
    if isinstance(found, Flight):
        cache.fail(found)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "elsewhere"])
async def test_a_value_that_was_begun_before_its_namespace_was_cleared_is_not_kept(
    new_cache: NewCache, redis_uri: str, *, elsewhere: bool
) -> None:
    cache, other = new_cache(redis_uri), new_cache(redis_uri)
    place, beside = cache.place("answers", "key"), cache.place("others", "key")
    await listening(cache, other)
    begun, changes = cache.cleared.times, cache.changes

    await (other if elsewhere else cache).clear("answers")
    await until(lambda: not elsewhere or cache.changes > changes)
    await cache.write([(place, "old", LIFE), (beside, "kept", LIFE)], since=begun)
    await cache.write([(cache.place("answers", "later"), "new", LIFE)], since=cache.cleared.times)

    found = await other.read([place, beside, cache.place("answers", "later")])
    assert sorted(each.value for each in found.values()) == ["kept", "new"]
    assert cache.peek(place) is None


@pytest.mark.parametrize("keys", [1, 3])
async def test_what_a_node_computes_while_it_is_cleared_is_not_kept(new_cache: NewCache, keys: int) -> None:
    """Alone in its step or not."""
    cache = new_cache()
    nodes = ResponseCache(cache, "graph")
    asked = [(NODE, f"input {number}") for number in range(keys)]

    async def run() -> None:
        assert await nodes.aget(asked) == {}
        await nodes.aclear([NODE])
        await nodes.aset(dict.fromkeys(asked, ("old", None)))

    await asyncio.create_task(run())

    assert await nodes.aget(asked) == {}


@pytest.mark.parametrize("sync", [False, True])
async def test_what_two_runs_compute_at_once_while_it_is_cleared_is_not_kept(
    new_cache: NewCache, *, sync: bool
) -> None:
    """The second ends after the first: nothing of what it began before is kept, in place of what is computed
    since then neither."""
    cache = new_cache()
    begun, ends = threading.Semaphore(0), [threading.Event() for _ in range(3)]

    def node(state: Said) -> Said:
        begun.release()
        said = f"new {state['run']}" if state["run"] == 2 else "old"
        assert ends[state["run"]].wait(PATIENCE_SECONDS)
        return {"said": [said]}

    builder = StateGraph(Said)
    for name in ("one", "two"):
        builder.add_node(name, node, cache_policy=CachePolicy(key_func=lambda _state: "the same"))
        builder.add_edge(START, name)
    graph = builder.compile(cache=ResponseCache(cache, "graph"))

    def run(number: int) -> asyncio.Future[Any]:
        given: Said = {"run": number, "said": []}
        if sync:
            return asyncio.ensure_future(asyncio.to_thread(graph.invoke, given))
        return asyncio.ensure_future(graph.ainvoke(given))

    async def computes() -> None:
        for _ in range(2):
            await until(partial(begun.acquire, blocking=False))

    first, second = run(0), run(1)
    await computes()
    await computes()
    await graph.aclear_cache()
    ends[0].set()
    await first
    third = run(2)
    await computes()
    ends[1].set()
    await second
    assert [cache.statistics.of(f"graph/{name}").sets for name in ("one", "two")] == [0, 0]
    ends[2].set()
    await third

    assert (await run(2))["said"] == ["new 2", "new 2"]
    assert begun.acquire(blocking=False) is False


@pytest.mark.parametrize("sync", [False, True])
async def test_what_a_run_computes_several_times_at_once_while_it_is_cleared_is_not_kept(
    new_cache: NewCache, *, sync: bool
) -> None:
    """LangGraph asks once for tasks of one step that have the same input."""
    cache = new_cache()
    begun, ends = threading.Semaphore(0), threading.Event()

    def node(state: Said) -> Said:
        begun.release()
        assert ends.wait(PATIENCE_SECONDS)
        return {"said": ["old"]}

    builder = StateGraph(Said)
    builder.add_node("node", node, cache_policy=CachePolicy(key_func=cache_key))
    builder.add_conditional_edges(START, lambda _state: [Send("node", {"run": 1})] * 3, ["node"])
    graph = builder.compile(cache=ResponseCache(cache, "graph"))
    given: Said = {"run": 0, "said": []}
    run = asyncio.ensure_future(asyncio.to_thread(graph.invoke, given) if sync else graph.ainvoke(given))

    for _ in range(3):
        await until(partial(begun.acquire, blocking=False))
    await graph.aclear_cache()
    ends.set()

    assert (await run)["said"] == ["old"] * 3
    assert cache.statistics.of("graph/node").sets == 0


async def test_what_a_run_computes_several_times_is_not_kept_where_another_run_asks_after_the_clearing(
    new_cache: NewCache,
) -> None:
    nodes = ResponseCache(new_cache(), "graph")
    [first, equal, asked_later] = [(("node",), "".join(("k", "ey"))) for _ in range(3)]
    nodes.get([first])
    await nodes.aclear()
    nodes.get([asked_later])

    nodes.set({first: ("old", None)})
    nodes.set({equal: ("old", None)})

    assert nodes.get([(("node",), "key")]) == {}
    nodes.set({asked_later: ("new", None)})
    assert nodes.get([(("node",), "key")]) == {(("node",), "key"): "new"}


async def test_a_node_that_several_fetch_at_once_is_computed_again_when_a_run_ends_without_it(
    new_cache: NewCache,
) -> None:
    cache = new_cache()
    nodes = ResponseCache(cache, "graph")

    async def asks(*keys: str) -> Any:
        return await nodes.aget([(NODE, key) for key in keys])

    await asyncio.create_task(asks("one", "two"))

    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await asyncio.create_task(asks("one")) == {}


@pytest.mark.parametrize("way", ["aclear", "clear"])
async def test_a_graph_is_cleared_whole_whoever_filled_it_and_however_many_nodes_it_has(
    new_cache: NewCache, redis_uri: str, way: str
) -> None:
    here, there = new_cache(redis_uri), new_cache(redis_uri)
    await listening(here, there)
    filled, fresh, beside = (
        ResponseCache(manager, name) for manager, name in ((here, "a/b"), (there, "a/b"), (here, "a"))
    )
    keys = [(("write", f"node {number}"), "input") for number in range(MOST_NAMESPACES + 20)]
    kept = [(NODE, "input")]
    await filled.aset(dict.fromkeys(keys, ("value", None)))
    await beside.aset(dict.fromkeys(kept, ("kept", None)))

    await (fresh.aclear() if way == "aclear" else asyncio.to_thread(fresh.clear))
    await until(lambda: here.peek(here.place("a/b/node 0", "write", "node 0", "", "input")) is None)

    assert await fresh.aget(keys) == {}
    assert await beside.aget(kept) == {kept[0]: "kept"}


def test_a_namespace_has_its_own_keys_and_shares_their_beginning_with_those_beside_it() -> None:
    names = KeyNames("service")
    a, ab, abc, other = (names.place(name, "key").key for name in ("a", "a/b", "a/b/c", "ab/c"))

    def of(prefix: str) -> list[str]:
        return [key for key in (a, ab, abc, other) if key.startswith(prefix)]

    assert [of(names.prefix(name)) for name in ("a", "a/b", "a/b/c", "ab/c")] == [[a], [ab], [abc], [other]]
    assert [of(names.prefix_within(name)) for name in ("a", "a/b", "ab", "b")] == [
        [ab, abc],
        [abc],
        [other],
        [],
    ]
    assert of(names.prefix(None)) == [a, ab, abc, other]


@pytest.mark.parametrize("ask", ["clear", "announce"])
async def test_what_redis_does_not_forget_is_told(
    new_cache: NewCache, redis_uri: str, monkeypatch: pytest.MonkeyPatch, ask: str
) -> None:
    cache = new_cache(redis_uri)
    await listening(cache)
    assert cache._replicas is not None
    place = cache.place("function", "key")
    await cache.write([(place, "value", LIFE)])

    async def refuses(_: Any) -> None:
        raise SharedCacheRefused("no permission")

    with monkeypatch.context() as patched, capture_logs() as logs:
        patched.setattr(cache._replicas._shared, ask, refuses)
        told = [await cache.clear_told("function"), await cache.clear_told("function")]

    assert told[0].values == 1
    assert [each.everywhere for each in told] == [False, False]
    assert [log["event"] for log in logs].count("cache.not_forgotten") == 1
    assert (await new_cache().clear_told("function")).everywhere

    async def forgets() -> bool:
        return (await cache.clear_told("function")).everywhere

    await until(forgets)


def test_what_is_remembered_of_clearing_has_a_bound_and_what_it_no_longer_knows_counts_as_cleared() -> None:
    cleared = Cleared()
    begun = cleared.times
    for number in range(MOST_CLEARED):
        cleared.note(f"{number}:")
    middle = cleared.times

    assert not cleared.covers("other:key", begun)
    for number in range(10):
        cleared.note(f"more {number}:")

    assert cleared.covers("other:key", begun)
    assert not cleared.covers("other:key", middle)
    assert cleared.covers("more 3:key", middle)
    assert not cleared.covers("more 3:key", cleared.times)
