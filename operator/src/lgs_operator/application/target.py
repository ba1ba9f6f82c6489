"""Finds the file that a command means: the named one, or the one in a folder; and its kind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from lgs_crds import ManifestError, Problem
from lgs_crds.bounded_yaml import BoundedLoader
from lgs_crds.model.service import GROUP, KIND
from lgs_operator.application.code_files import for_code_of, refuse_code

Kind = Literal["manifest", "application"]
CONFIG: Final = "langgraph.json"
_CLAIM: Final = re.compile(
    rf"""^(?:apiVersion: *["']?{re.escape(GROUP)}/|kind: *["']?{KIND}["']?\s*(?:#.*)?$)""", re.MULTILINE
)


def found(named: Path | None) -> Path:
    """The file to work on. A folder stands for the manifest in it, else for its `langgraph.json`.

    Raises `ManifestError` if there is none, or more than one manifest, and for a file of code.
    """
    folder = Path.cwd() if named is None else named
    if not folder.is_dir():
        refuse_code(folder)
        return folder
    files = [path for path in sorted(folder.iterdir()) if path.suffix in (".yaml", ".yml")]
    manifests = [path for path in files if _is_ours(path) or _was_meant(path)]
    if len(manifests) > 1:
        names = ", ".join(path.name for path in manifests)
        raise ManifestError(
            str(folder), (Problem("manifest", "there are several; name the one you mean", names),)
        )
    if manifests:
        return manifests[0]
    if (folder / CONFIG).is_file():
        return folder / CONFIG
    rule = f"neither a {KIND} in a YAML file nor a {CONFIG} is there; name the file, or go to its folder"
    raise ManifestError(str(folder), (Problem("manifest", f"{rule}; {for_code_of(folder)}"),))


def kind_of(path: Path) -> Kind:
    """The kind of a file, by its content and its name."""
    documents = _documents(path)
    if any("kind" in each for each in documents):
        return "manifest"
    named = path.suffix == ".json" or path.name.startswith("langgraph")
    return "application" if named or any("graphs" in each for each in documents) else "manifest"


def _is_ours(path: Path) -> bool:
    return any(each.get("kind") == KIND for each in _documents(path))


def _was_meant(path: Path) -> bool:
    """Whether a file claims to be a manifest, by its version or its kind, though it is no YAML or UTF-8, or
    has another kind: reading it then reports what is wrong."""
    try:
        return _CLAIM.search(path.read_text("utf-8-sig", errors="replace")) is not None
    except OSError:
        return False


def _documents(path: Path) -> list[dict[str, Any]]:
    try:
        documents = list(yaml.load_all(path.read_text("utf-8-sig"), BoundedLoader))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return []
    return [each for each in documents if isinstance(each, dict)]
