"""The cache of a graph's nodes and tasks: LangGraph's `BaseCache`, over the manager of the replica.

LangGraph identifies a cached result by its function and node, which two graphs, or two subgraphs of one
graph, can share without meaning the same. So the keys here also contain the graph and the path to the
subgraph.
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
"""How many values that runs are computing are tracked at a time."""


class Begun(NamedTuple):
    """A value that a run is computing, for a key that LangGraph made. `since`: the number of clears when the
    computation began."""

    key: str
    place: Place
    since: int


class Entry(NamedTuple):
    """A value that a run has computed. `cleared`: whether it was cleared after the computation began."""

    place: Place
    value: Any
    life: Life
    cleared: bool


class AllBegun:
    """The values that runs are computing. LangGraph stores a value in the context of whichever thread
    finishes it; but the key is then the same object that was looked up, and belongs to that run alone.
    Thread-safe."""

    def __init__(self) -> None:
        self._begun: dict[int, Begun] = {}
        """By the key's identity. Each key is kept alive, so that no later one gets the same identity."""
        self._since: dict[FullKey, int] = {}
        """The `since` of the first of equal keys: LangGraph looks up equal keys of a step once, so that it is
        not known which run computes the others."""
        self._lock = threading.Lock()
        copied(self)

    def begin_in_child(self) -> None:
        """Called in a forked process, which computes none of them."""
        self._lock = threading.Lock()

    def note(self, full: FullKey, place: Place, times: int) -> None:
        """Adds a value, unless it is known: LangGraph looks up all keys of a step again as the step goes
        on."""
        _, key = full
        with self._lock:
            begun = self._begun.setdefault(id(key), Begun(key, place, times))
            first = self._since.pop(full, begun.since)
            self._since[full] = min(first, begun.since)
            for known in (self._begun, self._since):
                if len(known) > MOST_BEGUN:
                    del known[next(iter(known))]  # type: ignore[arg-type]

    def over(self, full: FullKey) -> tuple[Place | None, int | None]:
        """Removes a value that has been computed; returns its place and its `since`, each None if not
        known."""
        with self._lock:
            begun = self._begun.pop(id(full[1]), None)
            return (None, self._since.get(full)) if begun is None else (begun.place, begun.since)


class ResponseCache(BaseCache[Any]):
    """The cache that a graph sees. Values live for the `ttl` of their policy in seconds, or as long as the
    service says if it has none."""

    def __init__(self, manager: CacheManager | None, graph_id: str) -> None:
        """Without a `manager`, the one that serves the calling code is used."""
        super().__init__()
        self._given = manager
        self._graph_id = graph_id
        self._begun = AllBegun()

    @property
    def _manager(self) -> CacheManager:
        return self._given or current()

    def get(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """The cached values. A graph that runs without an event loop waits for Redis; on an event loop's own
        thread, only memory is asked."""
        places = self._places(keys)
        return self._answer(places, self._manager.read_blocking(list(places.values())))

    async def aget(self, keys: Sequence[FullKey]) -> dict[FullKey, Any]:
        """The cached values. If one key is looked up, and another run is computing its value, this waits for
        that. If several are looked up, nothing is waited for: the step goes on with what is missing."""
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
        """Keeps values. On an event loop's own thread, Redis gets them later."""
        entries = self._entries(pairs)
        kept = [(place, value, life) for place, value, life, cleared in entries if not cleared]
        self._manager.write_blocking(kept)

    async def aset(self, pairs: Mapping[FullKey, tuple[Any, int | None]]) -> None:
        """Keeps values."""
        for place, value, life, cleared in self._entries(pairs):
            flight = self._manager.flights.of(place.key)
            # Another run may be computing it too: a flight that began after the clear goes on.
            if flight is not None and flight.outdated >= cleared:
                await self._manager.land(place, flight, value, life)
            elif not cleared:
                await self._manager.on_loop(self._manager.write([(place, value, life)]))

    def clear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Deletes the values of nodes; None: all that the graph has, cached answers of runs included. On an
        event loop's own thread, Redis is asked later."""
        if namespaces is None:
            self._manager.clear_within_blocking(self._graph_id)
        for namespace in namespaces or ():
            self._manager.clear_blocking(self._name(namespace))

    async def aclear(self, namespaces: Sequence[Namespace] | None = None) -> None:
        """Deletes the values of nodes; None: all that the graph has, cached answers of runs included."""
        if namespaces is None:
            await self._manager.clear_within(self._graph_id)
        for namespace in namespaces or ():
            await self._manager.clear(self._name(namespace))

    async def _awaited(self, place: Place) -> Found | None:
        """The value, if another run is computing it. If none is, this run will, and callers that come
        meanwhile wait until it has the value or ends without."""
        manager, run = self._manager, asyncio.current_task()
        if (before := manager.flights.of(place.key)) is not None and before.owner is run:
            # This run's earlier computation came to nothing and the run went on: it would wait for itself.
            manager.fail(before)
        found = await manager.enter(place, Life(manager.ttl_seconds), frozenset())
        if not isinstance(found, Flight):
            return found
        self._computed_by_this_run(found)
        return None

    def _computed_by_this_run(self, flight: Flight) -> None:
        """Lets a flight last until this run has the value, or ends without; a value that is cleared meanwhile
        is not kept."""
        manager, run = self._manager, asyncio.current_task()
        assert run is not None
        flight.owner, flight.loop = run, run.get_loop()
        run.add_done_callback(lambda _: manager.fail(flight))

    def _answer(self, places: Mapping[FullKey, Place], found: Mapping[Place, Found]) -> dict[FullKey, Any]:
        """The values that were found. The rest is noted as being computed by the calling run."""
        times = self._manager.cleared.times
        for full, place in places.items():
            if place not in found:
                self._begun.note(full, place, times)
        return {key: found[place].value for key, place in places.items() if place in found}

    def _name(self, namespace: Namespace) -> str:
        """The namespace of a node by its name, or of a task by the name of its function."""
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
    """The service's cache for a graph that the service does not compile, such as a subgraph: its cache
    policies have no effect without `compile(cache=NodeCache("search"))`. In an application's unit tests, it
    is a cache in memory."""

    def __init__(self, name: str) -> None:
        """`name` begins the namespaces that its nodes are counted under: `name/node`. Raises `TypeError` and
        `ValueError`."""
        check_namespace("NodeCache", "name", name)
        super().__init__(None, name)


def _way() -> Sequence[str]:
    """The path of nodes to the calling graph, if that is a subgraph, outermost first."""
    config = var_child_runnable_config.get()
    space = ((config or {}).get("configurable") or {}).get("checkpoint_ns") or ""
    return [part.partition(":")[0] for part in space.split("|") if part]


def check_policies(graph_id: str, graph: Pregel[Any, Any, Any, Any]) -> None:
    """Raises `ConfigError` if the cache policy of the graph, or of one of its nodes, has an invalid `ttl`."""
    policies = {"": graph.cache_policy}
    policies.update((f": node {name}", node.cache_policy) for name, node in graph.nodes.items())
    for where, policy in policies.items():
        if policy is not None and (rule := _broken_rule(policy.ttl)):
            raise ConfigError(f"graphs.{graph_id}{where}: cache_policy.ttl: {policy.ttl!r}: {rule}, or None")


def _broken_rule(ttl: Any) -> str | None:
    # LangGraph does not check it: it may even be a string.
    return None if ttl is None else broken_rule(ttl, above=True)
