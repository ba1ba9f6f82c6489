"""The packages of a repository that are installed into an image or an environment, and what each
needs from elsewhere.

A folder with a build system is installed; the runtime puts one without on the import path. What a package
takes from its own repository (`tool.uv.sources` with `workspace` or `path`) is a member too. pip does not
read that table: for a name in it, pip would install a stranger's package of the same name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from lgs_operator.application.model import Application
from lgs_operator.application.poetry import requirements
from lgs_operator.application.project import pyproject_of
from lgs_operator.application.workspace import normal, workspace_members, workspace_of


class _Unnamed(Enum):
    """Sources that no requirement of pip can name."""

    INDEX = "index"
    LOST = "lost"


Source = Path | str | _Unnamed


@dataclass(frozen=True, slots=True)
class Member:
    """A folder of the repository. `requirements` is None if only its build system knows them."""

    folder: Path
    name: str | None = None
    installable: bool = False
    requirements: tuple[str, ...] | None = ()
    requirements_file: Path | None = None
    file_stands_alone: bool = True
    """Whether `requirements_file` can be installed without the rest of the folder."""
    nearby: tuple[Path, ...] = ()
    """Folders of the repository from which it takes packages."""
    direct: tuple[str, ...] = ()
    """Requirements that `tool.uv.sources` points to a URL."""
    indexed: tuple[str, ...] = ()
    """Names that it points to an index, which only uv supports for single packages."""
    lost: tuple[str, ...] = ()
    """Names that it points to something that is no folder of the repository."""


def members_of(folders: Iterable[Path], *, with_extras: bool = False) -> tuple[Member, ...]:
    """The folders and what they need from their own repository, each once; `with_extras` adds what their
    optional dependencies need from it.
    """
    found: dict[Path, Member] = {}
    waiting = list(folders)
    while waiting:
        folder = waiting.pop(0)
        if folder not in found:
            found[folder] = _member(folder, with_extras)
            waiting += found[folder].nearby
    return tuple(found.values())


def what_to_install(application: Application) -> list[str]:
    """The arguments of `pip install` for what a `langgraph.json` depends on. Packages from the repository or
    from a URL are all listed, since pip would otherwise look for them in the index."""
    members = members_of(application.folders, with_extras=True)
    wanted = {place for member in members for place in member.nearby}
    installed = [member for member in members if member.installable or member.folder in wanted]
    arguments: list[str] = []
    for member in members:
        if member in installed:
            arguments += ["-e", str(member.folder)]
        elif member.requirements_file is not None:
            arguments += ["-r", str(member.requirements_file)]
    listed = needed_from_outside(members, of=[each for each in members if each not in installed])
    direct = [text for member in installed for text in member.direct]
    return [*arguments, *dict.fromkeys((*application.packages, *listed, *direct))]


def only_by_uv(application: Application) -> Path | None:
    """The first folder with a requirement whose source pip can't be told; None without one."""
    members = members_of(application.folders, with_extras=True)
    return next((member.folder for member in members if member.indexed or member.lost), None)


def needed_from_outside(members: Iterable[Member], of: Iterable[Member] | None = None) -> list[str]:
    """The requirements of all members (or only those of `of`), without the members themselves, each once."""
    members = list(members)
    own = {normal(member.name) for member in members if member.name}
    wanted = (text for member in (members if of is None else of) for text in member.requirements or ())
    return list(dict.fromkeys(text for text in wanted if normal(name_in(text)) not in own))


def name_in(requirement: str) -> str:
    """The package name with which a requirement begins."""
    return re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0]


def _member(folder: Path, with_extras: bool) -> Member:
    content = pyproject_of(folder)
    project = content.get("project")
    if not (folder / "pyproject.toml").is_file():
        if (folder / "setup.py").is_file():
            return Member(folder, installable=True, requirements=None)
        return _without_package(folder)
    if not isinstance(project, dict):
        poetry = content.get("tool", {}).get("poetry", {})
        if poetry.get("dependencies") and "build-system" not in content:
            return Member(folder, poetry.get("name"), requirements=requirements(poetry["dependencies"]))
        # Only the build system knows the requirements.
        return Member(folder, installable=True, requirements=None)
    sources = _sources(folder, content)
    nearby = {name: place for name, place in sources.items() if isinstance(place, Path)}
    dynamic = "dependencies" in project.get("dynamic", ())
    given = [str(text) for text in project.get("dependencies", ())]
    asked = [*given, *(_extras(project) if with_extras else ())]
    # With dynamic dependencies it is not known which sources the build system needs.
    wanted = set(sources) if dynamic else {normal(name_in(text)) for text in asked}
    from_elsewhere = [_from_source(text, sources) for text in given if normal(name_in(text)) not in nearby]
    tools = content.get("tool", {})
    managed = tools.get("uv", {}).get("package")
    # pip would use setuptools for any folder, and fail if that finds several packages.
    builds = "build-system" in content or "setuptools" in tools or (folder / "setup.py").is_file()
    installable = builds if managed is None else bool(managed)
    return Member(
        folder,
        name=project.get("name"),
        installable=installable or dynamic,
        requirements=None if dynamic else tuple(from_elsewhere),
        nearby=tuple(place for name, place in nearby.items() if name in wanted),
        direct=_direct(list(wanted) if dynamic else asked, sources),
        indexed=tuple(name for name in sorted(wanted) if sources.get(name) is _Unnamed.INDEX),
        lost=tuple(name for name in sorted(wanted) if sources.get(name) is _Unnamed.LOST),
    )


def _extras(project: Mapping[str, Any]) -> Iterable[str]:
    extras = project.get("optional-dependencies", {})
    return (str(text) for texts in extras.values() for text in texts) if isinstance(extras, dict) else ()


def _direct(asked: Iterable[str], sources: Mapping[str, Source]) -> tuple[str, ...]:
    return tuple(
        _from_source(text, sources) for text in asked if isinstance(sources.get(normal(name_in(text))), str)
    )


def _without_package(folder: Path) -> Member:
    file = folder / "requirements.txt"
    if not file.is_file():
        return Member(folder)
    lines = [line.strip() for line in file.read_text("utf-8-sig", errors="replace").splitlines()]
    alone = not any(
        line.startswith(("-e", "-r", "-c", "--editable", "--requirement", ".", "/")) for line in lines
    )
    return Member(folder, requirements_file=file, file_stands_alone=alone)


def _sources(folder: Path, content: Mapping[str, Any]) -> dict[str, Source]:
    """The sources in `tool.uv.sources` by name: a folder of the repository, a URL, or neither."""
    workspace = workspace_of(folder)
    tables = [pyproject_of(workspace) if workspace else {}, content]
    found: dict[str, Source] = {}
    for table, base in zip(tables, (workspace or folder, folder), strict=True):
        sources = table.get("tool", {}).get("uv", {}).get("sources", {})
        for name, source in sources.items() if isinstance(sources, dict) else ():
            found[normal(name)] = _source(normal(name), source, base, workspace)
    return found


def _source(name: str, source: Any, base: Path, workspace: Path | None) -> Source:
    several = source if isinstance(source, list) else [source]
    if all(isinstance(each, dict) and "index" in each for each in several):
        return _Unnamed.INDEX
    if not isinstance(source, dict):
        return _Unnamed.LOST
    if source.get("workspace") and workspace is not None:
        return workspace_members(workspace).get(name, _Unnamed.LOST)
    if isinstance(source.get("path"), str):
        place = (base / source["path"]).resolve()
        return place if place.is_dir() else _Unnamed.LOST
    return _url(source) or _Unnamed.LOST


def _url(source: Mapping[str, Any]) -> str | None:
    below = f"#subdirectory={source['subdirectory']}" if source.get("subdirectory") else ""
    if isinstance(source.get("git"), str):
        at = next((f"@{source[key]}" for key in ("rev", "tag", "branch") if source.get(key)), "")
        return f"git+{source['git']}{at}{below}"
    return f"{source['url']}{below}" if isinstance(source.get("url"), str) else None


def _from_source(requirement: str, sources: Mapping[str, Source]) -> str:
    source = sources.get(normal(name_in(requirement)))
    if not isinstance(source, str):
        return requirement
    extras = re.match(r"[A-Za-z0-9._-]+\s*(\[[^\]]*\])?", requirement.strip())
    marker = requirement.partition(";")[2].strip()
    named = extras.group(0) if extras else name_in(requirement)
    return f"{named} @ {source}" + (f" ; {marker}" if marker else "")
