"""The packages of a repository that are installed into an image, and what each of them needs from elsewhere.

A folder with a build system is installed; one without is put on the import path by the runtime. What a
package takes from its own repository (`tool.uv.sources` with `workspace` or `path`) is a member too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lgs_operator.application.project import pyproject_of
from lgs_operator.application.workspace import normal, workspace_members, workspace_of
from lgs_operator.images.poetry import requirements


@dataclass(frozen=True, slots=True)
class Member:
    """A folder of the repository. `requirements` are None where only its build system has them."""

    folder: Path
    name: str | None = None
    installable: bool = False
    requirements: tuple[str, ...] | None = ()
    requirements_file: Path | None = None
    file_stands_alone: bool = True
    """Whether that file can be installed without the rest of the folder."""


def members_of(folders: Iterable[Path]) -> tuple[Member, ...]:
    """The folders and what they need of their own repository, each once."""
    found: dict[Path, Member] = {}
    waiting = list(folders)
    while waiting:
        folder = waiting.pop(0)
        if folder not in found:
            found[folder], nearby = _member(folder)
            waiting += nearby
    return tuple(found.values())


def needed_from_outside(members: Iterable[Member]) -> list[str]:
    """The requirements of all members but for one another, each once."""
    members = list(members)
    own = {normal(member.name) for member in members if member.name}
    wanted = (text for member in members for text in member.requirements or ())
    return list(dict.fromkeys(text for text in wanted if normal(name_in(text)) not in own))


def name_in(requirement: str) -> str:
    """The name that a requirement begins with."""
    return re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0]


def _member(folder: Path) -> tuple[Member, list[Path]]:
    content = pyproject_of(folder)
    project = content.get("project")
    if not (folder / "pyproject.toml").is_file():
        if (folder / "setup.py").is_file():
            return Member(folder, installable=True, requirements=None), []
        return _without_package(folder), []
    if not isinstance(project, dict):
        poetry = content.get("tool", {}).get("poetry", {})
        if poetry.get("dependencies") and "build-system" not in content:
            return Member(folder, poetry.get("name"), requirements=requirements(poetry["dependencies"])), []
        # Only the build system has them.
        return Member(folder, installable=True, requirements=None), []
    sources = _sources(folder, content)
    nearby = {name: path for name, path in sources.items() if isinstance(path, Path)}
    # A path in the package's own folder, or one that can't be resolved, is left to its build system.
    dynamic = "dependencies" in project.get("dynamic", ())
    given = [str(text) for text in project.get("dependencies", ())]
    from_elsewhere = [_from_source(text, sources) for text in given if normal(name_in(text)) not in nearby]
    tools = content.get("tool", {})
    managed = tools.get("uv", {}).get("package")
    # pip would take setuptools for any folder, and fail where it finds several packages in it.
    builds = "build-system" in content or "setuptools" in tools or (folder / "setup.py").is_file()
    installable = builds if managed is None else bool(managed)
    member = Member(
        folder,
        name=project.get("name"),
        installable=installable or dynamic,
        requirements=None if dynamic else tuple(from_elsewhere),
    )
    wanted = {normal(name_in(text)) for text in given}
    return member, [path for name, path in nearby.items() if name in wanted]


def _without_package(folder: Path) -> Member:
    file = folder / "requirements.txt"
    if not file.is_file():
        return Member(folder)
    lines = [line.strip() for line in file.read_text("utf-8", errors="replace").splitlines()]
    alone = not any(
        line.startswith(("-e", "-r", "-c", "--editable", "--requirement", ".", "/")) for line in lines
    )
    return Member(folder, requirements_file=file, file_stands_alone=alone)


def _sources(folder: Path, content: Mapping[str, Any]) -> dict[str, Path | str]:
    """`tool.uv.sources`: a folder for what is in the repository, the URL of a Git repository else."""
    workspace = workspace_of(folder)
    tables = [pyproject_of(workspace) if workspace else {}, content]
    found: dict[str, Path | str] = {}
    for table, base in zip(tables, (workspace or folder, folder), strict=True):
        sources = table.get("tool", {}).get("uv", {}).get("sources", {})
        for name, source in sources.items() if isinstance(sources, dict) else ():
            place = _source(normal(name), source, base, workspace)
            if place is not None:
                found[normal(name)] = place
    return found


def _source(name: str, source: Any, base: Path, workspace: Path | None) -> Path | str | None:
    if not isinstance(source, dict):
        return None
    if source.get("workspace") and workspace is not None:
        return workspace_members(workspace).get(name)
    if isinstance(source.get("path"), str):
        place = (base / source["path"]).resolve()
        return place if place.is_dir() else None
    if isinstance(source.get("git"), str):
        at = next((f"@{source[key]}" for key in ("rev", "tag", "branch") if source.get(key)), "")
        below = f"#subdirectory={source['subdirectory']}" if source.get("subdirectory") else ""
        return f"git+{source['git']}{at}{below}"
    return None


def _from_source(requirement: str, sources: Mapping[str, Path | str]) -> str:
    source = sources.get(normal(name_in(requirement)))
    if not isinstance(source, str):
        return requirement
    extras = re.match(r"[A-Za-z0-9._-]+\s*(\[[^\]]*\])?", requirement.strip())
    marker = requirement.partition(";")[2].strip()
    named = extras.group(0) if extras else name_in(requirement)
    return f"{named} @ {source}" + (f" ; {marker}" if marker else "")
