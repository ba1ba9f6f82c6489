"""The graphs of the service: loaded once at start, opened for a run with the service's own checkpointer,
store and cache, and described for the API. Each has a default assistant whose id is derived from the
graph's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.store.base import BaseStore
from langgraph_sdk.runtime import AccessContext

from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.cache.response import ResponseCache, check_policies
from lgs_runtime.errors import NotFound
from lgs_runtime.graphs.factories import config_of, runtime_of
from lgs_runtime.graphs.importing import extend_import_path
from lgs_runtime.graphs.loader import LoadedGraph, load_graphs, open_factory
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.graphs.schemas import Graph, graph_schemas
from lgs_runtime.model import Assistant
from lgs_runtime.storage.contract import Storage

log = structlog.get_logger(__name__)
ASSISTANT_NAMESPACE = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
UNNAMED = "LangGraph"
"""LangGraph's default name of a graph."""
SYSTEM_METADATA: Mapping[str, Any] = {"created_by": "system"}


@dataclass(frozen=True, slots=True)
class GraphDescription:
    """A graph as people see it."""

    graph_id: str
    path: str
    description: str | None


@lru_cache(maxsize=1024)
def default_assistant_id(graph_id: str) -> str:
    """The id of the assistant that each graph has from the start; it is the same in every LangGraph
    server."""
    return str(uuid5(ASSISTANT_NAMESPACE, graph_id))


class GraphRegistry:
    """Loaded graphs by id. Made once at start; reading it needs no lock."""

    def __init__(
        self,
        loaded: Sequence[LoadedGraph],
        checkpointer: BaseCheckpointSaver[Any],
        store: BaseStore,
        cache: CacheManager | None,
    ) -> None:
        self._loaded = {graph.graph_id: graph for graph in loaded}
        self._checkpointer = checkpointer
        self._store = store
        self._cache = cache
        self._ready = {g.graph_id: self._attached(g.graph_id, g.graph) for g in loaded if g.graph is not None}
        self._default_assistants = frozenset(map(default_assistant_id, self._loaded))
        self._schemas: dict[str, Mapping[str, Any]] = {}

    @classmethod
    def load(
        cls,
        specs: Mapping[str, GraphSpec],
        *,
        source: Path,
        import_paths: tuple[Path, ...],
        checkpointer: BaseCheckpointSaver[Any],
        store: BaseStore,
        cache: CacheManager | None = None,
    ) -> GraphRegistry:
        """Loads every graph. Raises `ConfigError` that names all graphs that can't work.

        Call it in a thread without an event loop: modules of public applications call `asyncio.run` at
        import, which a thread with a running event loop refuses.
        """
        extend_import_path(import_paths)
        loaded = load_graphs(specs, source)
        for each in loaded:
            if each.graph is not None:
                check_policies(each.graph_id, each.graph)
        _report_own_persistence(loaded)
        return cls(loaded, checkpointer, store, cache)

    @property
    def ids(self) -> Sequence[str]:
        """The graph ids, in the order of the configuration."""
        return list(self._loaded)

    def is_default_assistant(self, assistant_id: str) -> bool:
        """Whether the id is that of a graph's default assistant, which everybody may use."""
        return assistant_id in self._default_assistants

    @property
    def listing(self) -> str:
        """The ids of all graphs, for a message about one that does not exist."""
        return f"the graphs of this service are: {', '.join(self.ids)}"

    def varies(self, graph_id: str) -> bool:
        """Whether a factory makes the graph; it may make another one for each configuration."""
        return graph_id not in self._ready

    def describe(self, graph_id: str) -> GraphDescription:
        """A graph's id, path and description. Raises `NotFound`."""
        loaded = self._get(graph_id)
        return GraphDescription(graph_id, loaded.spec.path, loaded.spec.description)

    @asynccontextmanager
    async def open(
        self,
        graph_id: str,
        config: RunnableConfig | None = None,
        *,
        access: AccessContext = "threads.read",
        context: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[Graph]:
        """The graph for one run, or for reading a state. A factory is called with `config` and the reason
        (`access`, and the run's `context`); what it made is closed afterwards.

        Raises `NotFound`, and whatever the factory raises.
        """
        loaded = self._get(graph_id)
        if graph_id in self._ready:
            yield self._ready[graph_id]
            return
        runtime = runtime_of(access, self._store, context)
        async with open_factory(loaded, config_of(config or {}, runtime), runtime) as made:
            yield self._attached(graph_id, made)

    async def schemas(self, graph_id: str, config: RunnableConfig | None = None) -> Mapping[str, Any]:
        """JSON schemas as returned by `GET /assistants/{id}/schemas`; None where a type has no JSON schema. A
        factory may make another graph for each `config`, so only the result without one is cached."""
        varies = config is not None and self.varies(graph_id)
        if not varies and graph_id in self._schemas:
            return self._schemas[graph_id]
        async with self.open(graph_id, config, access="assistants.read") as graph:
            found = {"graph_id": graph_id, **graph_schemas(graph)}
        if not varies:
            self._schemas[graph_id] = found
        return found

    async def ensure_assistants(self, storage: Storage) -> None:
        """Makes the default assistant of each graph that has none yet. Several replicas may do so at once."""
        now = await storage.now()
        for graph_id in self.ids:
            assistant = Assistant(
                assistant_id=default_assistant_id(graph_id),
                graph_id=graph_id,
                name=self._name(graph_id),
                description=self.describe(graph_id).description,
                config={},
                context={},
                metadata=dict(SYSTEM_METADATA),
                version=1,
                created_at=now,
                updated_at=now,
            )
            await storage.assistants.create(assistant, if_exists="do_nothing")

    def _name(self, graph_id: str) -> str:
        """The name of a graph's default assistant: the name that the graph was compiled with, else its id."""
        return str(self._ready[graph_id].name) if graph_id in self._ready else graph_id

    def _get(self, graph_id: str) -> LoadedGraph:
        try:
            return self._loaded[graph_id]
        except KeyError:
            raise NotFound("graph", graph_id, self.listing) from None

    def _attached(self, graph_id: str, graph: Graph) -> Graph:
        # A cache and a name that the graph itself chose stay; checkpoints and the store are the service's.
        kept = graph.cache or (self._cache and ResponseCache(self._cache, graph_id))
        given = {"checkpointer": self._checkpointer, "store": self._store, "cache": kept}
        return graph.copy({**given, "name": graph_id} if graph.name == UNNAMED else given)


def _report_own_persistence(loaded: Sequence[LoadedGraph]) -> None:
    """Logs the checkpointers and stores that graphs were compiled with and do not get here."""
    for part, own in (("checkpointer", BaseCheckpointSaver), ("store", BaseStore)):
        if named := [each.graph_id for each in loaded if isinstance(getattr(each.graph, part, None), own)]:
            log.warning("graphs.own_persistence", part=part, graphs=", ".join(named))
