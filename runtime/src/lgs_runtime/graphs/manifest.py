"""`langgraph.json` (or YAML): what a folder of graphs says about itself.

Reads the keys this runtime uses and tolerates the others, which are named once in the log. Wrong syntax and
wrong types are a `ConfigError` that gives the line or the key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
import yaml
from dotenv import dotenv_values

from lgs_runtime.errors import ConfigError

USED = frozenset({"graphs", "env", "dependencies"})
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


def read_manifest(path: Path, name: str) -> Manifest:
    """Reads the file that setting `name` points to. Raises `ConfigError`."""
    if not path.is_file():
        raise ConfigError(f"{name}: {path}: must be a file that exists")
    text = path.read_text(encoding="utf-8")
    where = str(path)
    content = _parse_yaml(text, where) if path.suffix in (".yaml", ".yml") else parse_json(text, where)
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: {type(content).__name__}: must be an object with a key `graphs`")
    unused = sorted(set(content) - USED)
    if unused:
        log.info("config.keys_not_used", path=where, keys=unused)
    folder = path.absolute().parent
    return Manifest(
        path=path.absolute(),
        folder=folder,
        graphs=parse_graphs(content.get("graphs", {}), f"{where}: graphs"),
        env=_env(content.get("env"), folder, f"{where}: env"),
        dependencies=_dependencies(content.get("dependencies", []), folder, f"{where}: dependencies"),
    )


def parse_json(text: str, where: str) -> Any:
    """JSON, or a `ConfigError` with line and column."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as wrong:
        raise ConfigError(
            f"{where}: line {wrong.lineno} column {wrong.colno}: must be JSON: {wrong.msg}"
        ) from wrong


def _parse_yaml(text: str, where: str) -> Any:
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
    if not isinstance(path, str) or ":" not in path:
        raise ConfigError(f"{where}: {path!r}: must be path:variable, such as ./graph.py:graph")
    return GraphSpec(path, spec.get("description") if isinstance(spec, dict) else None)


def _env(content: Any, folder: Path, where: str) -> Mapping[str, str]:
    if content is None:
        return {}
    if isinstance(content, dict):
        return {str(name): str(value) for name, value in content.items()}
    if isinstance(content, list):
        # A list names variables that the environment must bring.
        return {}
    path = folder / str(content)
    if not path.is_file():
        raise ConfigError(f"{where}: {content}: must be a file that exists, or an object of names to values")
    return {name: value for name, value in dotenv_values(path).items() if value is not None}


def _dependencies(content: Any, folder: Path, where: str) -> tuple[Path, ...]:
    if not isinstance(content, list):
        raise ConfigError(f"{where}: {content!r}: must be a list of folders and packages")
    local = [str(entry) for entry in content if str(entry).startswith((".", "/"))]
    paths = []
    for entry in local:
        path = (folder / entry).resolve()
        if not path.is_dir():
            raise ConfigError(f"{where}: {entry}: must be a folder that exists")
        paths.extend([path, path / "src"] if (path / "src").is_dir() else [path])
    return tuple(paths)
