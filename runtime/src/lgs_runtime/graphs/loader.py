"""Finds what `path:variable` names and turns it into a graph.

The path is a file relative to the service's source folder, or a dotted module. The variable may hold a
compiled graph, a `StateGraph` builder, or a factory (sync, async, or a context manager; see `factories.py`).
Whatever can't be loaded is a `ConfigError` that names what was found instead.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.factories import called, parameters_of
from lgs_runtime.graphs.manifest import GraphSpec

FILE_SUFFIXES = (".py",)


@dataclass(frozen=True, slots=True)
class LoadedGraph:
    """What a variable held: a graph, or a factory of graphs (exactly one of the two)."""

    graph_id: str
    spec: GraphSpec
    graph: Pregel[Any, Any, Any, Any] | None
    factory: Callable[..., Any] | None


def extend_import_path(paths: tuple[Path, ...]) -> None:
    """Puts folders first on the import path, in their order, each once."""
    wanted = [str(path) for path in paths]
    sys.path[:] = list(dict.fromkeys([*wanted, *(entry for entry in sys.path if entry not in wanted)]))


def load_graph(graph_id: str, spec: GraphSpec, source: Path) -> LoadedGraph:
    """Imports the module of a graph and looks at its variable. Raises `ConfigError`."""
    where = f"graphs.{graph_id}: {spec.path}"
    location, _, variable = spec.path.rpartition(":")
    module = import_module(location, source, where)
    try:
        found = getattr(module, variable)
    except AttributeError:
        names = ", ".join(_candidates(module)) or "none"
        raise ConfigError(
            f"{where}: {location} has no variable {variable}; graphs and functions in it: {names}"
        ) from None
    if isinstance(found, Pregel | StateGraph):
        return LoadedGraph(graph_id, spec, as_pregel(found, where), None)
    if callable(found) and not inspect.isclass(found) and parameters_of(found) is not None:
        return LoadedGraph(graph_id, spec, None, found)
    raise ConfigError(
        f"{where}: {variable} is a {type(found).__name__}; it must be a compiled graph, a StateGraph, or a "
        "function that returns one and needs nothing but a config and a ServerRuntime"
    )


def as_pregel(found: Any, where: str) -> Pregel[Any, Any, Any, Any]:
    """A compiled graph, from one or from its builder. Raises `ConfigError`."""
    if isinstance(found, StateGraph):
        try:
            return found.compile()
        except ValueError as wrong:
            raise ConfigError(f"{where}: the graph does not compile: {wrong}") from wrong
    if isinstance(found, Pregel):
        return found
    raise ConfigError(
        f"{where}: it gives a {type(found).__name__}; it must give a compiled graph or a StateGraph"
    )


@asynccontextmanager
async def open_factory(
    loaded: LoadedGraph, config: RunnableConfig, runtime: object
) -> AsyncIterator[Pregel[Any, Any, Any, Any]]:
    """The graph that a factory makes for one call, open as long as the context is."""
    where = f"graphs.{loaded.graph_id}: {loaded.spec.path}"
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


def import_module(location: str, source: Path, where: str) -> ModuleType:
    """A module by its dotted name, or by its file, relative to `source`. Raises `ConfigError`, which begins
    with `where`."""
    if location.endswith(FILE_SUFFIXES) or "/" in location:
        path = (source / location).resolve()
        if not path.is_file():
            raise ConfigError(f"{where}: {path}: must be a file that exists")
        return _guarded(lambda: _import_file(path, source), where, path)
    return _guarded(lambda: importlib.import_module(location), where, None)


def _import_file(path: Path, source: Path) -> ModuleType:
    """Imports a file under its dotted name below the source folder, so that its own package's imports and
    its pickled names agree; a file elsewhere gets a name made from its path."""
    name = _module_name(path, source)
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) == str(path):
        return sys.modules[name]
    if name in sys.modules or importlib.util.find_spec(name.partition(".")[0]) is None:
        name = f"lgs_graph_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise ImportError(f"{path} can't be imported")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _module_name(path: Path, source: Path) -> str:
    base = source.resolve()
    relative = path.relative_to(base) if path.is_relative_to(base) else Path(path.name)
    return ".".join(relative.with_suffix("").parts)


def _guarded(load: Callable[[], ModuleType], where: str, path: Path | None) -> ModuleType:
    """Runs an import; whatever the user's module raises becomes a `ConfigError` that shows where."""
    try:
        return load()
    # The module is the user's: anything may come, and all of it is told.
    except Exception as raised:
        line = _last_line(raised, path)
        said = "".join(traceback.format_exception_only(raised)).strip().splitlines()[-1]
        raise ConfigError(f"{where}: it raised at import: {said} ({line})") from raised


def _last_line(raised: BaseException, path: Path | None) -> str:
    """`file:line` nearest to the user's code: the last frame in the graph's file, else the last of all."""
    if isinstance(raised, SyntaxError) and raised.filename:
        return f"{raised.filename}:{raised.lineno}"
    frames = traceback.extract_tb(raised.__traceback__)
    own = [frame for frame in frames if path is not None and frame.filename == str(path)]
    user = [frame for frame in frames if "importlib" not in frame.filename]
    chosen = (own or user or list(frames))[-1]
    return f"{chosen.filename}:{chosen.lineno}"
