"""The cache of a graph's nodes and tasks: LangGraph's `BaseCache`, over the manager of the replica.

LangGraph names what it caches by the function and the node, which two graphs, or two subgraphs of one, can
have in common without meaning the same. So the graph and the way to the subgraph are part of the key here.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from langchain_core.runnables.config import var_child_runnable_config
from langgraph.cache.base import BaseCache, FullKey, Namespace
from langgraph.pregel import Pregel

from lgs_runtime.cache.current import current
from lgs_runtime.cache.found import Found, Life
from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.cache.options import broken_rule, check_namespace
from lgs_runtime.cache.place import Place
from lgs_runtime.cache.single_flight import Flight
from lgs_runtime.errors import ConfigError
from lgs_runtime.forking import copied

MOST_BEGUN: Final = 10_000
"""Of the values that runs compute, as many are known at a time."""


class Begun(NamedTuple):
    """A value that a run computes, for a key that LangGraph made. `since`: how often something had been
    cleared by then."""

    key: str
    place: Place
    since: int


class Entry(NamedTuple):
    """A value that a run has computed. `cleared`: since it began to."""

    place: Place
    value: Any
    life: Life
    cleared: bool


class AllBegun:
    """The values that runs compute. LangGraph keeps one in the context of whichever thread its run comes to
    the end of it in; the key is then the object that was asked for, of this run alone. Safe in threads."""

    def __init__(self) -> None:
        self._begun: dict[int, Begun] = {}
        """By identity: each key is held, so that none that comes later has its identity."""
        self._since: dict[FullKey, int] = {}
        """The first of equal keys: LangGraph asks once for those of a step that are equal, and whose run
        computes another of them is not known."""
        self._lock = threading.Lock()
        copied(self)

    def begin_in_child(self) -> None:
        """A copy of this process computes none of them."""
        self._lock = threading.Lock()

    def note(self, full: FullKey, place: Place, times: int) -> None:
        """One more, unless it is known: LangGraph asks again for all of a step as that goes on."""
        _, key = full
        with self._lock:
            begun = self._begun.setdefault(id(key), Begun(key, place, times))
            first = self._since.pop(full, begun.since)
            self._since[full] = min(first, begun.since)
            for known in (self._begun, self._since):
                if len(known) > MOST_BEGUN:
                    del known[next(iter(known))]  # type: ignore[arg-type]

    def over(self, full: FullKey) -> tuple[Place | None, int | None]:
        """Where a value is that has been computed, and since when it was; None for what is not known."""
        with self._lock:
            begun = self._begun.pop(id(full[1]), None)
            return (None, self._since.get(full)) if begun is None else (begun.place, begun.since)


class ResponseCache(BaseCache[Any]):
    """What a graph sees. Values live `ttl` seconds of their policy, else as long as the service says."""

    def __init__(self, manager: CacheManager | None, graph_id: str) -> None:
        """Without a manager, over the one that serves the calling code."""
        super().__init__()
        self._given = manager
        self._graph_id = graph_id
        self._begun = AllBegun()

    @property
    def _manager(self) -> CacheManager:
        return self._given or current()

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """The values that are cached. A graph that runs without an event loop waits for Redis; on the thread
        of an event loop memory alone is asked."""
        places = self._places(keys)
        return self._answer(places, self._manager.read_blocking(list(places.values())))

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """The values that are cached. One that another run computes is waited for, where it is all that is
        missing; where more is, the step goes on with what there is to do."""
        places = self._places(keys)
        manager = self._manager
        if len(places) == 1:
            (place,) = places.values()
            found = manager.peek(place) or await self._awaited(place)
            return self._answer(places, {place: found} if isinstance(found, Found) else {})
        values = await manager.on_loop(manager.read(list(places.values())))
        for place in places.values():
            if place not in values:
                flight, leads = manager.flights.join(place.key)
                if leads:
                    self._computed_by_this_run(flight)
        return self._answer(places, values)

    def set(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        """Keeps values; Redis follows where this is an event loop's own thread."""
        entries = self._entries(pairs)
        kept = [(place, value, life) for place, value, life, cleared in entries if not cleared]
        self._manager.write_blocking(kept)

    async def aset(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        """Keeps values."""
        for place, value, life, cleared in self._entries(pairs):
            flight = self._manager.flights.of(place.key)
            # Another run may be computing it, too: one that began since it was cleared goes on.
            if flight is not None and flight.outdated >= cleared:
                await self._manager.land(place, flight, value, life)
            elif not cleared:
                await self._manager.on_loop(self._manager.write([(place, value, life)]))

    def clear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Forgets nodes, or all that the graph has, its answers too; Redis follows where this is an event
        loop's own thread."""
        if namespaces is None:
            self._manager.clear_within_blocking(self._graph_id)
        for namespace in namespaces or ():
            self._manager.clear_blocking(self._name(namespace))

    async def aclear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Forgets nodes, or all that the graph has, its answers too."""
        if namespaces is None:
            await self._manager.clear_within(self._graph_id)
        for namespace in namespaces or ():
            await self._manager.clear(self._name(namespace))

    async def _awaited(self, place: Place) -> Found | None:
        """A value that another run may be computing. If none does, this run will, and who asks meanwhile
        waits for it: until it has, or ends without."""
        manager, run = self._manager, asyncio.current_task()
        if (before := manager.flights.of(place.key)) is not None and before.owner is run:
            # It came to nothing, and the task went on: it would wait for itself.
            manager.fail(before)
        found = await manager.enter(place, Life(manager.ttl_seconds), frozenset())
        if not isinstance(found, Flight):
            return found
        self._computed_by_this_run(found)
        return None

    def _computed_by_this_run(self, flight: Flight) -> None:
        """Until the run has the value, or ends without; what is cleared meanwhile is not kept."""
        manager, run = self._manager, asyncio.current_task()
        assert run is not None
        flight.owner, flight.loop = run, run.get_loop()
        run.add_done_callback(lambda _: manager.fail(flight))

    def _answer(self, places: Mapping[FullKey, Place], found: Mapping[Place, Found]) -> dict[FullKey, Any]:
        """What was found; the rest the run computes that asks."""
        times = self._manager.cleared.times
        for full, place in places.items():
            if place not in found:
                self._begun.note(full, place, times)
        return {key: found[place].value for key, place in places.items() if place in found}

    def _name(self, namespace: Namespace) -> str:
        """A node of the graph by its name, a task by that of its function."""
        return f"{self._graph_id}/{namespace[-1] if namespace else ''}"

    def _places(self, keys: Sequence[FullKey]) -> dict[FullKey, Place]:
        way = _way()
        return {full: self._place(full, way) for full in keys}

    def _place(self, full: FullKey, way: Sequence[str]) -> Place:
        namespace, key = full
        return self._manager.place(self._name(namespace), *way, "", *namespace, "", key)

    def _entries(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> list[Entry]:
        entries = []
        for full, (value, ttl) in pairs.items():
            known, since = self._begun.over(full)
            place = known or self._place(full, _way())
            cleared = since is not None and self._manager.cleared.covers(place.key, since)
            if rule := _broken_rule(ttl):
                if (flight := self._manager.flights.of(place.key)) is not None:
                    self._manager.fail(flight)
                self._manager.unstorable(place.namespace, f"ttl: {ttl!r}: {rule}")
            else:
                life = Life(self._manager.ttl_seconds if ttl is None else ttl)
                entries.append(Entry(place, value, life, cleared))
        return entries


class NodeCache(ResponseCache):
    """The service's cache for a graph that the service does not compile: `compile(cache=NodeCache("search"))`
    of a subgraph, whose policies have no effect otherwise. In the unit tests of an application it is one in
    memory."""

    def __init__(self, name: str) -> None:
        """`name` is what its nodes are counted under: `name/node`. Raises `TypeError` and `ValueError`."""
        check_namespace("NodeCache", "name", name)
        super().__init__(None, name)


def _way() -> Sequence[str]:
    """The nodes in which the graph that asks is a subgraph, outermost first."""
    config = var_child_runnable_config.get()
    space = ((config or {}).get("configurable") or {}).get("checkpoint_ns") or ""
    return [part.partition(":")[0] for part in space.split("|") if part]


def check_policies(graph_id: str, graph: Pregel[Any, Any, Any, Any]) -> None:
    """Raises `ConfigError` for a node whose policy has a time to live that none can have."""
    policies = {"": graph.cache_policy}
    policies.update((f": node {name}", node.cache_policy) for name, node in graph.nodes.items())
    for where, policy in policies.items():
        if policy is not None and (rule := _broken_rule(policy.ttl)):
            raise ConfigError(f"graphs.{graph_id}{where}: cache_policy.ttl: {policy.ttl!r}: {rule}, or None")


def _broken_rule(ttl: Any) -> str | None:
    # LangGraph checks nothing of it: it may be a text.
    return None if ttl is None else broken_rule(ttl, above=True)
