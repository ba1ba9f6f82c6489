"""uv workspaces: several packages of one repository that are locked together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lgs_operator.application.project import pyproject_of


def normal(name: str) -> str:
    """A distribution's name, normalised for comparison."""
    return re.sub(r"[-_.]+", "-", name).lower()


def workspace_of(folder: Path) -> Path | None:
    """The root of the workspace of which a folder is a member, or inside a member; None without one."""
    folder = folder.resolve()
    for root in (folder, *folder.parents):
        if _table(root) is not None:
            members = workspace_members(root).values()
            inside = folder == root or any(
                folder.is_relative_to(member) for member in members if member != root
            )
            return root if inside else None
    return None


def workspace_members(root: Path) -> Mapping[str, Path]:
    """The members of a workspace by their normalised names, including the root if it is a package too."""
    table = _table(root) or {}
    out = {path.resolve() for pattern in table.get("exclude", ()) for path in root.glob(pattern)}
    folders = [path for pattern in table.get("members", ()) for path in sorted(root.glob(pattern))]
    found: dict[str, Path] = {}
    for folder in [root, *folders]:
        name = pyproject_of(folder).get("project", {}).get("name")
        if isinstance(name, str) and folder.resolve() not in out:
            found[normal(name)] = folder.resolve()
    return found


def lock_root(folder: Path) -> Path | None:
    """The folder whose `uv.lock` locks what this one needs: itself or its workspace's root;
    None without one."""
    for root in (folder.resolve(), workspace_of(folder)):
        if root is not None and all((root / name).is_file() for name in ("uv.lock", "pyproject.toml")):
            return root
    return None


def _table(folder: Path) -> Mapping[str, Any] | None:
    table = pyproject_of(folder).get("tool", {}).get("uv", {}).get("workspace")
    return table if isinstance(table, dict) else None
