"""`lgs-runtime check`: loads everything that the configuration names, as a replica does at its start, and
reports what it found and all errors. Opens no database, calls no factory and starts no lifespan."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from lgs_runtime.api.custom.application import load_custom_app
from lgs_runtime.auth.access_control import AccessControl
from lgs_runtime.checks import kind_of
from lgs_runtime.encryption.wrapping import open_cipher
from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.factories import parameters_of
from lgs_runtime.graphs.importing import extend_import_path
from lgs_runtime.graphs.loader import LoadedGraph, try_graphs
from lgs_runtime.graphs.priority import PriorityHandler
from lgs_runtime.persistence import index_of, named
from lgs_runtime.settings import Settings


async def examine(settings: Settings) -> tuple[list[str], list[ConfigError]]:
    """(one line for each part that was found, all errors). Parts that a replica imports under its event loop
    are imported under one here too."""
    extend_import_path(settings.import_paths)
    found, errors = list[str](), list[ConfigError]()
    for name, path, load in _parts(settings):
        try:
            found.append(f"{name}: {path}: {load(settings)}")
        except ConfigError as wrong:
            errors.append(wrong)
    loaded, wrong_graphs = await asyncio.to_thread(try_graphs, settings.graphs, settings.source)
    found.extend(f"graphs.{graph.graph_id}: {graph.spec.path}: {_kind(graph)}" for graph in loaded)
    return found, errors + wrong_graphs


def _parts(settings: Settings) -> list[tuple[str, str, Callable[[Settings], str]]]:
    """The configured parts besides the graphs: name, path, and a function that loads and describes it."""
    index = settings.store.index
    every = [
        ("auth.path", settings.auth_path, _auth),
        ("encryption.path", settings.encryption_path, _encryption),
        ("checkpointer.path", settings.checkpointer.path, _checkpointer),
        ("store.path", settings.store.path, _store),
        ("store.index.embed", index.embed if index else None, _embeddings),
        ("http.app", settings.http.app, _app),
        ("priority.path", settings.priority_path, _priority),
    ]
    return [(name, path, load) for name, path, load in every if path is not None]


def _kind(graph: LoadedGraph) -> str:
    if graph.factory is None:
        return f"a graph ({type(graph.graph).__name__})"
    asked = ", ".join(parameters_of(graph.factory) or {})
    return f"a factory that takes {asked or 'nothing'}"


def _auth(settings: Settings) -> str:
    auth = AccessControl.open(settings).auth
    assert auth is not None, "auth.path is set"
    return "authenticates" if auth._authenticate_handler else "authorises whom the API keys let in"


def _encryption(settings: Settings) -> str:
    cipher = open_cipher(settings)
    assert cipher is not None, "encryption.path is set"
    sealed = [name for name, seals in (("json", cipher.seals_json), ("blob", cipher.seals_blobs)) if seals]
    return f"encrypts {' and '.join(sealed)}"


def _checkpointer(settings: Settings) -> str:
    path = settings.checkpointer.path
    return _named(settings, f"checkpointer.path: {path}", path)


def _store(settings: Settings) -> str:
    path = settings.store.path
    return _named(settings, f"store.path: {path}", path)


def _named(settings: Settings, where: str, path: Any) -> str:
    found = named(settings, path, where)
    return "a function, not called" if callable(found) else kind_of(found)


def _embeddings(settings: Settings) -> str:
    index = index_of(settings)
    assert index is not None, "store.index is set"
    return f"vectors of {index.dims} numbers"


def _app(settings: Settings) -> str:
    app = load_custom_app(settings, f"http.app: {settings.http.app}")
    return f"{kind_of(app)} application"


def _priority(settings: Settings) -> str:
    assert settings.priority_path is not None, "priority.path is set"
    PriorityHandler.load(settings.priority_path, settings.source, settings.import_paths)
    return "says where runs stand in the queue"
