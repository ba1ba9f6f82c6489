"""`langgraph.json` (or YAML): what a folder of graphs says about itself.

Reads the keys this runtime uses. Those that only say how an image is built are named in the log; a key that
nobody knows is a warning. Wrong syntax and wrong types are a `ConfigError` that gives the line or the key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from dotenv import dotenv_values

from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.auth_section import AuthSpec, parse_auth
from lgs_runtime.graphs.checks import object_of, texts_of, warn_unknown
from lgs_runtime.graphs.http_section import HttpSection, parse_http

USED = frozenset(
    {
        "graphs",
        "env",
        "dependencies",
        "http",
        "checkpointer",
        "auth",
        "webhooks",
        "priority",
        "store",
        "encryption",
    }
)
FOR_THE_IMAGE = frozenset(
    {
        "$schema",
        "_INTERNAL_docker_tag",
        "api_version",
        "base_image",
        "dockerfile_lines",
        "image_distro",
        "keep_pkg_tools",
        "node_version",
        "pip_config_file",
        "pip_installer",
        "python_version",
        "source",
        "ui",
        "ui_config",
    }
)
"""How LangGraph's command line builds an image, and what it puts into it: no business of a running server."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """Where a graph is: `path:variable`, as it was written, and what it is for."""

    path: str
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The parts of the file that are used, with paths made absolute."""

    path: Path | None = None
    folder: Path | None = None
    graphs: Mapping[str, GraphSpec] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    dependencies: tuple[Path, ...] = ()
    http: HttpSection = field(default_factory=HttpSection)
    checkpointer: Any = None
    """As it was written; `checkpoint.options` knows what it may hold."""
    auth: AuthSpec = field(default_factory=AuthSpec)
    store: Any = None
    """As it was written; `checkpoint.store_options` knows what it may hold."""
    priority: str | None = None
    """Where the `langgraph_sdk.Priority` object is, as `path:variable`."""
    encryption: str | None = None
    """Where the `langgraph_sdk.Encryption` object is, as `path:variable`."""
    webhooks: Any = None
    """As it was written; its headers need the environment."""


def read_manifest(path: Path, name: str) -> Manifest:
    """Reads the file that setting `name` points to. Raises `ConfigError`."""
    if not path.is_file():
        raise ConfigError(f"{name}: {path}: must be a file that exists")
    text = path.read_text(encoding="utf-8")
    where = str(path)
    content = _parse_yaml(text, where) if path.suffix in (".yaml", ".yml") else parse_json(text, where)
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: {type(content).__name__}: must be an object with a key `graphs`")
    warn_unknown(content, USED | FOR_THE_IMAGE, where)
    if unused := sorted(set(content) & FOR_THE_IMAGE):
        log.info("config.keys_not_used", path=where, keys=unused)
    folder = path.absolute().parent
    return Manifest(
        path=path.absolute(),
        folder=folder,
        graphs=parse_graphs(content.get("graphs", {}), f"{where}: graphs"),
        env=_env(content.get("env"), folder, f"{where}: env"),
        dependencies=_dependencies(content.get("dependencies", []), folder, f"{where}: dependencies"),
        http=parse_http(content.get("http"), f"{where}: http"),
        checkpointer=content.get("checkpointer"),
        auth=parse_auth(content.get("auth"), f"{where}: auth"),
        store=content.get("store"),
        priority=_priority(content.get("priority"), f"{where}: priority"),
        encryption=_encryption(content.get("encryption"), f"{where}: encryption"),
        webhooks=content.get("webhooks"),
    )


def _priority(content: Any, where: str) -> str | None:
    if content is None:
        return None
    path = object_of(content, where).get("path")
    if not isinstance(path, str) or ":" not in path:
        raise ConfigError(f"{where}.path: {path!r}: must be path:variable, such as ./priority.py:priority")
    return path


def _encryption(content: Any, where: str) -> str | None:
    """The object `encryption`. All of it counts: what is misspelt must not be stored in the clear."""
    if content is None:
        return None
    given = object_of(content, where)
    for name in given:
        if name != "path":
            raise ConfigError(f"{where}.{name}: unknown: must be path")
    path = given.get("path")
    if not isinstance(path, str) or ":" not in path:
        raise ConfigError(
            f"{where}.path: {path!r}: must be path:variable, such as ./encryption.py:encryption"
        )
    return path


def parse_json(text: str, where: str) -> Any:
    """JSON, or a `ConfigError` with line and column."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as wrong:
        raise ConfigError(
            f"{where}: line {wrong.lineno} column {wrong.colno}: must be JSON: {wrong.msg}"
        ) from wrong


def _parse_yaml(text: str, where: str) -> Any:
    import yaml  # noqa: PLC0415 - nearly every manifest is JSON

    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as wrong:
        line = wrong.problem_mark.line + 1 if wrong.problem_mark else 1
        raise ConfigError(f"{where}: line {line}: must be YAML: {wrong.problem}") from wrong
    except yaml.YAMLError as wrong:
        raise ConfigError(f"{where}: line 1: must be YAML: {wrong}") from wrong


def parse_graphs(content: Any, where: str) -> Mapping[str, GraphSpec]:
    """`{"id": "path:variable"}` or `{"id": {"path": …, "description": …}}`. Raises `ConfigError`."""
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: {content!r}: must be an object of graph id to path:variable")
    return {str(graph_id): _graph(spec, f"{where}.{graph_id}") for graph_id, spec in content.items()}


def _graph(spec: Any, where: str) -> GraphSpec:
    path = spec.get("path") if isinstance(spec, dict) else spec
    if isinstance(spec, dict):
        warn_unknown(spec, ("path", "description"), where)
        if not isinstance(spec.get("description"), str | None):
            raise ConfigError(f"{where}.description: {spec['description']!r}: must be a text")
    if not isinstance(path, str) or ":" not in path:
        raise ConfigError(f"{where}: {path!r}: must be path:variable, such as ./graph.py:graph")
    return GraphSpec(path, spec.get("description") if isinstance(spec, dict) else None)


def _env(content: Any, folder: Path, where: str) -> Mapping[str, str]:
    if content is None:
        return {}
    if isinstance(content, dict):
        return {str(name): _variable(value, f"{where}.{name}") for name, value in content.items()}
    if isinstance(content, list):
        # A list names variables that the environment must bring.
        return {}
    path = folder / str(content)
    if not path.is_file():
        raise ConfigError(f"{where}: {content}: must be a file that exists, or an object of names to values")
    return {name: value for name, value in dotenv_values(path).items() if value is not None}


def _variable(value: Any, where: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise ConfigError(f"{where}: {value!r}: must be a text, a number, or true or false")
    return str(value)


def _dependencies(content: Any, folder: Path, where: str) -> tuple[Path, ...]:
    if not isinstance(content, list):
        raise ConfigError(f"{where}: {content!r}: must be a list of folders and packages")
    local = [entry for entry in texts_of(content, where) if entry.startswith((".", "/"))]
    if packages := [entry for entry in content if entry not in local]:
        log.info("config.packages_are_for_the_image", path=where, packages=packages)
    paths = []
    for entry in local:
        path = (folder / entry).resolve()
        if not path.is_dir():
            raise ConfigError(f"{where}: {entry}: must be a folder that exists")
        paths.extend([path, path / "src"] if (path / "src").is_dir() else [path])
    return tuple(paths)
