"""The graphs of the service: loaded once at start, opened for a run with the service's own checkpointer,
store and cache, and described for the API. Each has a default assistant whose id is derived from the
graph's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from langchain_core.runnables import RunnableConfig
from langgraph.cache.base import BaseCache
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.pregel import Pregel
from langgraph.store.base import BaseStore
from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError

from lgs_runtime.errors import NotFound
from lgs_runtime.graphs.loader import LoadedGraph, extend_import_path, load_graph, open_factory
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.model import Assistant
from lgs_runtime.storage.contract import Storage

Graph = Pregel[Any, Any, Any, Any]
ASSISTANT_NAMESPACE = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
SYSTEM_METADATA: Mapping[str, Any] = {"created_by": "system"}


@dataclass(frozen=True, slots=True)
class GraphDescription:
    """A graph as people see it."""

    graph_id: str
    path: str
    description: str | None


def default_assistant_id(graph_id: str) -> str:
    """The id of the assistant that each graph has from the start, the same in every LangGraph server."""
    return str(uuid5(ASSISTANT_NAMESPACE, graph_id))


class GraphRegistry:
    """Loaded graphs by id. Made once at start; reading it needs no lock."""

    def __init__(
        self,
        loaded: Sequence[LoadedGraph],
        checkpointer: BaseCheckpointSaver[Any],
        store: BaseStore,
        cache: BaseCache[Any] | None,
    ) -> None:
        self._loaded = {graph.graph_id: graph for graph in loaded}
        self._attach = {"checkpointer": checkpointer, "store": store}
        self._cache = cache
        self._ready = {g.graph_id: self._attached(g.graph) for g in loaded if g.graph is not None}
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
        cache: BaseCache[Any] | None = None,
    ) -> GraphRegistry:
        """Loads every graph. Raises `ConfigError` for the first that can't work."""
        extend_import_path(import_paths)
        loaded = [load_graph(graph_id, spec, source) for graph_id, spec in specs.items()]
        return cls(loaded, checkpointer, store, cache)

    @property
    def ids(self) -> Sequence[str]:
        """The graph ids, in the order of the configuration."""
        return list(self._loaded)

    @property
    def told(self) -> str:
        """The graphs there are, for a message about one that is not."""
        return f"the graphs of this service are: {', '.join(self.ids)}"

    def describe(self, graph_id: str) -> GraphDescription:
        """Where a graph comes from. Raises `NotFound`."""
        loaded = self._get(graph_id)
        return GraphDescription(graph_id, loaded.spec.path, loaded.spec.description)

    @asynccontextmanager
    async def open(self, graph_id: str, config: RunnableConfig | None = None) -> AsyncIterator[Graph]:
        """The graph for one run or one look at a state; a factory is called with `config` and closed
        afterwards.

        Raises `NotFound`, and whatever the factory raises.
        """
        loaded = self._get(graph_id)
        if graph_id in self._ready:
            yield self._ready[graph_id]
            return
        async with open_factory(loaded, config or {"configurable": {}}) as made:
            yield self._attached(made)

    async def schemas(self, graph_id: str) -> Mapping[str, Any]:
        """JSON schemas as `GET /assistants/{id}/schemas` returns them; None where a type has no JSON
        schema."""
        if graph_id not in self._schemas:
            async with self.open(graph_id) as graph:
                self._schemas[graph_id] = {"graph_id": graph_id, **graph_schemas(graph)}
        return self._schemas[graph_id]

    async def ensure_assistants(self, storage: Storage) -> None:
        """Makes the default assistant of each graph that has none yet. Several replicas may do so at once."""
        now = await storage.now()
        for graph_id in self.ids:
            assistant = Assistant(
                assistant_id=default_assistant_id(graph_id),
                graph_id=graph_id,
                name=graph_id,
                description=self.describe(graph_id).description,
                config={},
                context={},
                metadata=dict(SYSTEM_METADATA),
                version=1,
                created_at=now,
                updated_at=now,
            )
            await storage.create_assistant(assistant, if_exists="do_nothing")

    def _get(self, graph_id: str) -> LoadedGraph:
        try:
            return self._loaded[graph_id]
        except KeyError:
            raise NotFound("graph", graph_id, self.told) from None

    def _attached(self, graph: Graph) -> Graph:
        # A cache of the graph's own choice stays; checkpoints and the store are the service's.
        return graph.copy({**self._attach, "cache": graph.cache or self._cache})


def graph_schemas(graph: Graph) -> Mapping[str, Any]:
    """The schemas of one graph (or subgraph), without an id."""
    context = _schema(graph.get_context_jsonschema)
    return {
        "input_schema": _schema(graph.get_input_jsonschema),
        "output_schema": _schema(graph.get_output_jsonschema),
        "state_schema": _schema(lambda: _state_schema(graph)),
        "config_schema": _config_schema(graph, context),
        "context_schema": context,
    }


def _config_schema(graph: Graph, context: Any) -> Mapping[str, Any]:
    """What the graph reads of `config`: its context, which older clients give as `configurable`."""
    schema: dict[str, Any] = {"title": graph.get_name("Config"), "type": "object", "properties": {}}
    if isinstance(context, Mapping):
        inner = {name: part for name, part in context.items() if name != "$defs"}
        schema["properties"] = {"configurable": {**inner, "default": None}}
        if "$defs" in context:
            schema["$defs"] = context["$defs"]
    return schema


def _state_schema(graph: Graph) -> Any:
    schema = getattr(graph, "builder", None) and graph.builder.state_schema  # type: ignore[attr-defined]
    if schema is None:
        return graph.get_output_jsonschema()

    return TypeAdapter(schema).json_schema()


def _schema(make: Any) -> Any:
    try:
        return make()
    except (PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, TypeError, NotImplementedError):
        return None
