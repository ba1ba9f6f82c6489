"""`langgraph.json` (or YAML): what a folder of graphs says about itself.

Reads the keys this runtime uses and tolerates the others, which are named once in the log. Wrong syntax and
wrong types are a `ConfigError` that gives the line or the key.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import structlog
import yaml
from dotenv import dotenv_values

from lgs_runtime.errors import ConfigError

USED = frozenset({"graphs", "env", "dependencies", "http", "checkpointer", "auth"})
USED_OF_HTTP = frozenset({"cors"})
PAGINATION = ("X-Pagination-Total", "X-Pagination-Next")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """Where a graph is: `path:variable`, as it was written, and what it is for."""

    path: str
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Cors:
    """`http.cors`: which pages of other origins may call the API. The defaults: any, without its cookies."""

    allow_origins: tuple[str, ...] = ("*",)
    allow_methods: tuple[str, ...] = ("*",)
    allow_headers: tuple[str, ...] = ("*",)
    allow_credentials: bool = False
    allow_origin_regex: str | None = None
    expose_headers: tuple[str, ...] = ("Content-Location", "Location", *PAGINATION)
    max_age: int = 600
    """Seconds for which a browser may remember what was allowed."""


@dataclass(frozen=True, slots=True)
class AuthSpec:
    """`auth`: where the `langgraph_sdk.Auth` object is, as `path:variable`, and what is said of it."""

    path: str | None = None
    disable_studio_auth: bool = False
    openapi: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The parts of the file that are used, with paths made absolute."""

    path: Path | None = None
    folder: Path | None = None
    graphs: Mapping[str, GraphSpec] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    dependencies: tuple[Path, ...] = ()
    cors: Cors = field(default_factory=Cors)
    checkpointer: Any = None
    """As it was written; `checkpoint.options` knows what it may hold."""
    auth: AuthSpec = field(default_factory=AuthSpec)


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
    http = _object(content.get("http"), f"{where}: http")
    if unused := sorted(set(http) - USED_OF_HTTP):
        log.info("config.keys_not_used", path=where, keys=[f"http.{key}" for key in unused])
    folder = path.absolute().parent
    return Manifest(
        path=path.absolute(),
        folder=folder,
        graphs=parse_graphs(content.get("graphs", {}), f"{where}: graphs"),
        env=_env(content.get("env"), folder, f"{where}: env"),
        dependencies=_dependencies(content.get("dependencies", []), folder, f"{where}: dependencies"),
        cors=parse_cors(http.get("cors"), f"{where}: http.cors"),
        checkpointer=content.get("checkpointer"),
        auth=_auth(content.get("auth"), f"{where}: auth"),
    )


def _auth(content: Any, where: str) -> AuthSpec:
    """The object `auth`. All of it counts: what is misspelt must not leave a service open."""
    given = _object(content, where)
    known = ("path", "disable_studio_auth", "openapi", "cache")
    for name in given:
        if name not in known:
            raise ConfigError(f"{where}.{name}: unknown: must be one of {', '.join(known)}")
    path, studio = given.get("path"), given.get("disable_studio_auth", False)
    if path is not None and (not isinstance(path, str) or ":" not in path):
        raise ConfigError(f"{where}.path: {path!r}: must be path:variable, such as ./auth.py:auth")
    if not isinstance(studio, bool):
        raise ConfigError(f"{where}.disable_studio_auth: {studio!r}: must be true or false")
    return AuthSpec(path, studio, _object(given.get("openapi"), f"{where}.openapi"))


def parse_cors(content: Any, where: str) -> Cors:
    """The object `http.cors`. What it doesn't name is as it would be without it, except that
    other origins may not call once it says anything of origins. Raises `ConfigError`."""
    given = _object(content, where)
    known = [spec.name for spec in fields(Cors)]
    for name in given:
        if name not in known:
            raise ConfigError(f"{where}.{name}: unknown: must be one of {', '.join(known)}")
    names_origins = bool(given.keys() & {"allow_origins", "allow_origin_regex"})
    strict: dict[str, Any] = {"allow_origins": ()} if names_origins else {}
    return Cors(**{**strict, **{name: _cors_value(value, name, where) for name, value in given.items()}})


def _cors_value(value: Any, name: str, where: str) -> Any:
    if name == "allow_credentials":
        valid, rule = isinstance(value, bool), "true or false"
    elif name == "max_age":
        valid, rule = isinstance(value, int) and not isinstance(value, bool) and value >= 0, "whole seconds"
    elif name == "allow_origin_regex":
        valid, rule = isinstance(value, str) and _is_regex(value), "a regular expression"
    else:
        valid = isinstance(value, list) and all(isinstance(entry, str) for entry in value)
        rule = "a list of strings"
    if not valid:
        raise ConfigError(f"{where}.{name}: {value!r}: must be {rule}")
    return tuple(value) if isinstance(value, list) else value


def _is_regex(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def _object(content: Any, where: str) -> dict[str, Any]:
    if not isinstance(content, dict | None):
        raise ConfigError(f"{where}: {content!r}: must be an object")
    return content or {}


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
