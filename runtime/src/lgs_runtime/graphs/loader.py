"""Finds what `path:variable` names and turns it into a graph.

The path is a file relative to the service's source folder, or a dotted module. The variable may hold a
compiled graph, a `StateGraph` builder, or a factory (sync, async, or a context manager; see `factories.py`).
Whatever can't be loaded is a `ConfigError` that names what was found instead.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from lgs_runtime.checks import kind_of
from lgs_runtime.errors import ConfigError, ConfigErrors
from lgs_runtime.graphs.factories import called, parameters_of
from lgs_runtime.graphs.importing import ImportFailed, module_of
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.tracebacks import summary, user_traceback


@dataclass(frozen=True, slots=True)
class LoadedGraph:
    """What a variable held: either a graph or a factory of graphs."""

    graph_id: str
    spec: GraphSpec
    graph: Pregel[Any, Any, Any, Any] | None
    factory: Callable[..., Any] | None


def load_graphs(specs: Mapping[str, GraphSpec], source: Path) -> list[LoadedGraph]:
    """Loads every graph. Raises `ConfigError` with all graphs that can't work."""
    loaded, errors = try_graphs(specs, source)
    if errors:
        raise errors[0] if len(errors) == 1 else ConfigErrors(errors)
    return loaded


def try_graphs(specs: Mapping[str, GraphSpec], source: Path) -> tuple[list[LoadedGraph], list[ConfigError]]:
    """The graphs that can be loaded, and the errors of the others. A module that raised at import is imported
    only once."""
    loaded, errors, raised = [], list[ConfigError](), dict[str, BaseException]()
    for graph_id, spec in specs.items():
        location = spec.path.rpartition(":")[0]
        try:
            if location in raised:
                raise ImportFailed(_where(graph_id, spec), raised[location])
            loaded.append(load_graph(graph_id, spec, source))
        except ConfigError as wrong:
            errors.append(wrong)
            if isinstance(wrong, ImportFailed):
                raised[location] = wrong.raised
    return loaded, errors


def _where(graph_id: str, spec: GraphSpec) -> str:
    return f"graphs.{graph_id}: {spec.path}"


def load_graph(graph_id: str, spec: GraphSpec, source: Path) -> LoadedGraph:
    """Imports the module of a graph and checks its variable. Raises `ConfigError`."""
    where = _where(graph_id, spec)
    module, variable = module_of(spec.path, source, where)
    try:
        found = getattr(module, variable)
    except AttributeError:
        names = ", ".join(_candidates(module)) or "none"
        raise ConfigError(
            f"{where}: {spec.path.removesuffix(f':{variable}')} has no variable {variable}; graphs and "
            f"functions in it: {names}"
        ) from None
    if isinstance(found, Pregel | StateGraph):
        return LoadedGraph(graph_id, spec, as_pregel(found, where), None)
    if callable(found) and not inspect.isclass(found) and parameters_of(found) is not None:
        return LoadedGraph(graph_id, spec, None, found)
    raise ConfigError(
        f"{where}: {variable} is {kind_of(found)}; it must be a compiled graph, a StateGraph, or a "
        "function that returns one and needs nothing but a config and a ServerRuntime"
    )


def as_pregel(found: Any, where: str) -> Pregel[Any, Any, Any, Any]:
    """A compiled graph, made from one or from its builder. Raises `ConfigError`."""
    if isinstance(found, StateGraph):
        try:
            return found.compile()
        # Its nodes and edges are the user's: compiling may raise anything.
        except Exception as wrong:
            raise ConfigError(
                f"{where}: the graph does not compile: {summary(wrong)}", shown=user_traceback(wrong)
            ) from wrong
    if isinstance(found, Pregel):
        return found
    raise ConfigError(f"{where}: it gives {kind_of(found)}; it must give a compiled graph or a StateGraph")


@asynccontextmanager
async def open_factory(
    loaded: LoadedGraph, config: RunnableConfig, runtime: object
) -> AsyncIterator[Pregel[Any, Any, Any, Any]]:
    """The graph that a factory makes for one call, open while the context is."""
    where = _where(loaded.graph_id, loaded.spec)
    if loaded.factory is None:
        raise ConfigError(f"{where}: it is a graph; it must be a factory to be opened for each run")
    async with called(loaded.factory, config, runtime) as made:
        yield as_pregel(made, where)


def _candidates(module: ModuleType) -> list[str]:
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (
            isinstance(value, Pregel | StateGraph)
            or (inspect.isfunction(value) and value.__module__ == module.__name__)
        )
    )
