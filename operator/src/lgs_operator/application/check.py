"""Reads a `langgraph.json` completely: every key of LangGraph's public schema is used or reported as unused,
and all problems are reported at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lgs_crds import ManifestError, Problem
from lgs_operator.application.document import document
from lgs_operator.application.findings import Findings, nearest
from lgs_operator.application.image_keys import image_section, user_of
from lgs_operator.application.model import Application
from lgs_operator.application.project import EXAMPLES, pyproject_of
from lgs_operator.application.pythons import allows, required_by
from lgs_operator.application.target import CONFIG
from lgs_operator.application.variables import Places, check_variable, is_javascript

SERVER_KEYS: Final = ("auth", "checkpointer", "encryption", "http", "priority", "store", "webhooks")
IMAGE_KEYS: Final = (
    "api_version", "base_image", "dockerfile_lines", "image_distro", "keep_pkg_tools", "node_version",
    "pip_config_file", "pip_installer", "python_version", "source", "ui", "ui_config", "_INTERNAL_docker_tag",
)  # fmt: skip
KEYS: Final = frozenset({"$schema", "dependencies", "env", "graphs", *SERVER_KEYS, *IMAGE_KEYS})
MOVED: Final = {"project_root": "source.root", "package": "source.package"}
VARIABLES: Final = (
    ("auth", "path", "./auth.py:auth"),
    ("checkpointer", "path", "./checkpointer.py:saver"),
    ("encryption", "path", "./encryption.py:encryption"),
    ("http", "app", "./webapp.py:app"),
    ("priority", "path", "./priority.py:priority"),
    ("store", "path", "./store.py:store"),
)


def read(path: Path, *, check_code: bool = True) -> Application:
    """The application of a file. Raises `ManifestError` with every problem; without `check_code`, problems of
    the code that it names are left out, as they are reported when the code is loaded."""
    path = path.absolute()
    content = document(path)
    findings = Findings()
    _known(findings, content)
    folders, packages = _dependencies(findings, content, path.parent)
    places = Places(path.parent, _import_path(path.parent, folders), check_code)
    graphs = _graphs(findings, content, places)
    sections = {name: findings.section(content, name) for name in SERVER_KEYS}
    for section, key, example in VARIABLES:
        if (value := sections[section].get(key)) is not None:
            check_variable(findings, f"{section}.{key}", value, places, example)
    _embeddings(findings, sections["store"], places)
    env_file, env = _env(findings, content, path.parent)
    image = image_section(findings, content, path.parent)
    required = required_by(path.parent)
    if image.python_version and not allows(required, image.python_version):
        rule = f"is none that pyproject.toml allows, which requires {required}"
        findings.note("python_version", rule, image.python_version)
    if findings.problems:
        # An unknown key is no problem by itself, but may be the reason why another key is missing.
        slips = [note for note in findings.notes if note.path not in KEYS]
        raise ManifestError(str(path), (*findings.problems, *slips))
    return Application(
        path=path,
        graphs=graphs,
        folders=folders,
        packages=packages,
        env_file=env_file,
        env=env,
        has_auth=bool(sections["auth"].get("path")),
        image=image,
        unbuildable=tuple(findings.unbuildable),
        notes=tuple(findings.notes),
    )


def check_graphs(graphs: Mapping[str, str], folder: Path) -> tuple[Problem, ...]:
    """The problems of the graphs that a manifest names, if their code is in `folder`. The folders of a
    `langgraph.json` there are on the import path too."""
    findings, folders = Findings(), tuple[Path, ...]()
    if (folder / CONFIG).is_file():
        folders, _ = _dependencies(Findings(), document(folder / CONFIG), folder)
    places = Places(folder, _import_path(folder, folders))
    for name, path in graphs.items():
        check_variable(findings, f"spec.graphs.{name}", path, places, "./graph.py:graph")
    return tuple(findings.problems)


def _import_path(folder: Path, folders: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(place for each in (folder, *folders) for place in (each, each / "src")))


def _known(findings: Findings, content: Mapping[str, Any]) -> None:
    for name in content:
        if name in MOVED:
            findings.wrong(name, f"is no key any more; use {MOVED[name]}", content[name])
        elif name not in KEYS:
            findings.note(name, f"is no key of langgraph.json and has no effect{nearest(name, KEYS)}")


def _graphs(findings: Findings, content: Mapping[str, Any], places: Places) -> Mapping[str, str]:
    graphs = findings.section(content, "graphs")
    if not graphs and isinstance(content.get("graphs", {}), dict):
        findings.wrong("graphs", 'must name a graph, such as {"agent": "./graph.py:graph"}', "none")
    paths: dict[str, Any] = {
        name: spec.get("path") if isinstance(spec, dict) else spec for name, spec in graphs.items()
    }
    in_javascript = [name for name, path in paths.items() if is_javascript(path)]
    for name, spec in graphs.items():
        if not str(name).strip() or "\0" in str(name):
            findings.wrong("graphs", "must be a name that is not empty, without NUL", name)
        where = f"graphs.{name}.path" if isinstance(spec, dict) else f"graphs.{name}"
        if isinstance(spec, dict):
            findings.text(spec, "description", f"graphs.{name}.description")
        if name not in in_javascript:
            check_variable(findings, where, paths[name], places, "./graph.py:graph")
        elif name == in_javascript[0]:
            _javascript(findings, paths, in_javascript)
    return paths


def _javascript(findings: Findings, paths: Mapping[str, Any], others: Sequence[str]) -> None:
    """Reports one problem for all JavaScript graphs, which this server can't run, with the way to
    serve the others."""
    python = {name: path for name, path in paths.items() if name not in others and isinstance(path, str)}
    served = ", ".join(f"{json.dumps(str(name))}: {json.dumps(path)}" for name, path in python.items())
    way = f"; a manifest with spec.graphs: {{{served}}} serves those in Python" if python else ""
    shown = str(paths[others[0]]) if len(others) == 1 else f"{len(others)} graphs"
    named = ", ".join(f"graphs.{name}" for name in others)
    findings.wrong(named, f"must be Python: this server runs no JavaScript{way}", shown)


def _embeddings(findings: Findings, store: Mapping[str, Any], places: Places) -> None:
    """Checks `store.index.embed` if it names code in a file; else it is a provider's model."""
    index = store.get("index")
    embed = index.get("embed") if isinstance(index, dict) else None
    location = embed.rpartition(":")[0] if isinstance(embed, str) else ""
    if location.endswith(".py") or location.startswith(("./", "../", "/")):
        check_variable(findings, "store.index.embed", embed, places, "./embed.py:embed")


def _dependencies(
    findings: Findings, content: Mapping[str, Any], folder: Path
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    folders, packages = [], []
    for index, entry in enumerate(findings.texts(content, "dependencies")):
        path = f"dependencies[{index}]"
        if entry.startswith((".", "/")):
            place = (folder / entry).resolve()
            if place.is_dir():
                folders.append(place)
                _unread(findings, path, entry, place, content)
            else:
                findings.wrong(path, "must be a folder that exists", entry)
        elif user_of(entry):
            findings.wrong(path, "must have no user or token in its URL: the image would keep it", "a URL")
        elif (folder / entry).is_dir():
            findings.wrong(path, f"is taken for a package; for the folder write ./{entry}", entry)
        else:
            packages.append(entry)
    _unnamed(findings, content, folder, folders)
    return tuple(folders), tuple(packages)


def _unread(findings: Findings, path: str, entry: str, place: Path, content: Mapping[str, Any]) -> None:
    """Notes a `requirements.txt` that is not installed, since a `pyproject.toml` beside it counts, as in
    LangGraph's tools."""
    project = pyproject_of(place).get("project")
    if content.get("source") or not isinstance(project, dict) or "dependencies" in project.get("dynamic", ()):
        return
    if (place / "requirements.txt").is_file():
        rule = "its requirements.txt is not installed: its pyproject.toml says what it needs"
        findings.note(path, rule, entry)


def _unnamed(findings: Findings, content: Mapping[str, Any], folder: Path, folders: Sequence[Path]) -> None:
    """Notes requirements beside the file that `dependencies` does not name."""
    beside = [
        name for name in ("pyproject.toml", "setup.py", "requirements.txt") if (folder / name).is_file()
    ]
    if beside and not content.get("source") and not any(folder.is_relative_to(each) for each in folders):
        findings.note("dependencies", f'has no ".": what {beside[0]} beside it needs is not installed')


def _env(
    findings: Findings, content: Mapping[str, Any], folder: Path
) -> tuple[Path | None, Mapping[str, str]]:
    value = content.get("env")
    if isinstance(value, str) and value.strip():
        file = (folder / value).resolve()
        if not file.is_file():
            example = next((name for name in EXAMPLES if (file.parent / name).is_file()), None)
            rule = "no such file: what it should set must come from the environment"
            findings.note("env", f"{rule}; {example} beside it has the names" if example else rule, value)
        return file, {}
    if isinstance(value, dict):
        for name, text in value.items():
            if not name or "=" in str(name) or "\0" in f"{name}{text}":
                findings.wrong("env", "must be a variable's name without =, and no NUL", name)
            if not isinstance(text, str | int | float):
                findings.wrong(f"env.{name}", "must be a text, a number, or true or false", text)
        return None, {str(name): str(text) for name, text in value.items()}
    if value is not None and not isinstance(value, list):
        findings.wrong("env", "must be a file, or an object of names to values", value)
    return None, {}
