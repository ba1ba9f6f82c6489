"""`langgraph.json`: what a folder of graphs says about itself, section by section.

Reads the keys that this runtime uses. Keys that only say how an image is built are logged; an unknown key is
a warning. Wrong types are a `ConfigError` that names the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog

from lgs_runtime.checks import Gathered, object_of, texts_of, warn_unknown
from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.auth_section import AuthSpec, parse_auth
from lgs_runtime.graphs.http_section import HttpSection, parse_http
from lgs_runtime.graphs.manifest_file import ManifestFile, parse_json
from lgs_runtime.variables import Variables

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
        "disable_persistence",
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
"""Keys about how LangGraph's command line builds an image, and what it puts into it: a running server ignores
them."""
VARIABLES: Final[Mapping[str, str]] = {
    "graphs": "LANGSERVE_GRAPHS",
    "auth": "LANGGRAPH_AUTH",
    "checkpointer": "LANGGRAPH_CHECKPOINTER",
    "encryption": "LANGGRAPH_ENCRYPTION",
    "http": "LANGGRAPH_HTTP",
    "priority": "LANGGRAPH_PRIORITY",
    "store": "LANGGRAPH_STORE",
    "webhooks": "LANGGRAPH_WEBHOOKS",
}
"""Variables that may hold a section as JSON: in images built by LangGraph's command line they repeat what the
file said, with the image's own paths."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """Where a graph is, as `path:variable` in its written form, and what it is for."""

    path: str
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A section as it was written, and where."""

    content: Any
    where: str
    variable: bool = False
    """Whether a variable of the environment holds it."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The parts of the file that are used, with absolute paths."""

    path: Path | None = None
    folder: Path | None = None
    graphs: Mapping[str, GraphSpec] = field(default_factory=dict)
    dependencies: tuple[Path, ...] = ()
    http: HttpSection = field(default_factory=HttpSection)
    checkpointer: Section = field(default_factory=lambda: Section(None, "checkpointer"))
    """Checked by `checkpoint.options`."""
    auth: AuthSpec = field(default_factory=AuthSpec)
    store: Section = field(default_factory=lambda: Section(None, "store"))
    """Checked by `store.options`."""
    priority: str | None = None
    """Where the `langgraph_sdk.Priority` object is, as `path:variable`."""
    encryption: str | None = None
    """Where the `langgraph_sdk.Encryption` object is, as `path:variable`."""
    webhooks: Section = field(default_factory=lambda: Section(None, "webhooks"))
    """Checked later: its headers need the environment."""


def manifest_of(file: ManifestFile, values: Variables, found: Gathered) -> Manifest:
    """The manifest from the file, and from variables that replace its sections. Errors are gathered in
    `found`."""
    content, where = file.content, str(file.path)
    warn_unknown(content, USED | FOR_THE_IMAGE, where)
    if unused := sorted(set(content) & FOR_THE_IMAGE - {"$schema"}):
        log.info("config.keys_not_used", path=where, keys=unused)
    if "ui" in content:
        log.warning(
            "config.ui_not_served", path=where, reason="components of a graph's UI are not served here"
        )
    read = found.read
    absent = Section(None, "")
    section = {name: read(absent, _section, name, content, where, values) for name in VARIABLES}
    if replaced := sorted(name for name, one in section.items() if name in content and one.variable):
        log.info(
            "config.sections_replaced", path=where, sections=replaced, by=[VARIABLES[n] for n in replaced]
        )
    return Manifest(
        path=file.path,
        folder=file.folder,
        graphs=read({}, parse_graphs, section["graphs"].content or {}, section["graphs"].where),
        dependencies=read(
            (), _dependencies, content.get("dependencies"), file.folder, f"{where}: dependencies"
        ),
        http=read(HttpSection(), parse_http, section["http"].content, section["http"].where),
        checkpointer=section["checkpointer"],
        auth=read(AuthSpec(), parse_auth, section["auth"].content, section["auth"].where),
        store=section["store"],
        priority=read(None, _priority, section["priority"].content, section["priority"].where),
        encryption=read(None, _encryption, section["encryption"].content, section["encryption"].where),
        webhooks=section["webhooks"],
    )


def _section(name: str, content: Mapping[str, Any], where: str, values: Variables) -> Section:
    variable = VARIABLES[name]
    text = values.text(variable, "")
    if text:
        return Section(parse_json(text, variable), variable, variable=True)
    return Section(content.get(name), f"{where}: {name}")


def _priority(content: Any, where: str) -> str | None:
    if content is None:
        return None
    path = object_of(content, where).get("path")
    if not isinstance(path, str) or ":" not in path:
        raise ConfigError(f"{where}.path: {path!r}: must be path:variable, such as ./priority.py:priority")
    return path


def _encryption(content: Any, where: str) -> str | None:
    """Parses the object `encryption`. Unknown keys are errors: a misspelt one must not leave data
    unencrypted."""
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


def parse_graphs(content: Any, where: str) -> Mapping[str, GraphSpec]:
    """Parses `{"id": "path:variable"}` or `{"id": {"path": …, "description": …}}`. Raises `ConfigError`."""
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: {content!r}: must be an object of graph id to path:variable")
    for graph_id in map(str, content):
        if not graph_id.strip() or "\0" in graph_id:
            raise ConfigError(f"{where}: {graph_id!r}: must be a name that is not empty, without NUL")
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


def _dependencies(content: Any, folder: Path | None, where: str) -> tuple[Path, ...]:
    if not isinstance(content, list | None):
        raise ConfigError(f"{where}: {content!r}: must be a list of folders and packages")
    local = [entry for entry in texts_of(content, where) if entry.startswith((".", "/"))]
    if packages := [entry for entry in content or () if entry not in local]:
        log.info("config.packages_are_for_the_image", path=where, packages=packages)
    paths: list[Path] = []
    for entry in local:
        path = ((folder or Path.cwd()) / entry).resolve()
        if path.is_dir():
            paths.extend(import_folders(path))
        else:
            log.warning("config.folder_missing", where=where, folder=entry, looked_at=str(path))
    return tuple(paths)


def import_folders(folder: Path) -> tuple[Path, ...]:
    """The folders in which a folder's modules may be: itself and its `src`."""
    return (folder, folder / "src") if (folder / "src").is_dir() else (folder,)
