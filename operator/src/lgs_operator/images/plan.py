"""Plans what goes into an image and in which order: requirements before code, so that a change of the code
installs nothing again. Decides; reads only what the repository says about its packages.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from lgs_crds import ManifestError, Problem
from lgs_operator.application import Application
from lgs_operator.application.members import Member, members_of, needed_from_outside
from lgs_operator.application.model import PACKAGE_TOOLS
from lgs_operator.application.pythons import python_for
from lgs_operator.application.workspace import normal, workspace_members

STOCK: Final = "ghcr.io/langgraphservice/runtime:0.1.0"
"""The stock image. Its tags for each Python end with `-py3.12` and the like."""
APP: Final = PurePosixPath("/app")


@dataclass(frozen=True, slots=True)
class Lock:
    """A `uv.lock` to install from, and the `pyproject.toml` files that uv reads with it."""

    root: Path
    package: str | None
    projects: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a Dockerfile contains. Paths are those of this machine; `inside` gives those in the image."""

    application: Application
    base_image: str
    root: Path
    """The folder that the build may read; all other paths are in it."""
    place: PurePosixPath
    """Where `root` is in the image."""
    parts: tuple[Path, ...]
    """The folders to copy."""
    requirements: tuple[str, ...]
    files: tuple[Path, ...]
    """`requirements.txt` files that are installed before the code is copied."""
    late_files: tuple[Path, ...]
    ready: tuple[Path, ...]
    """Packages whose requirements are installed before the code."""
    unready: tuple[Path, ...]
    """Packages whose requirements only their build system knows."""
    import_path: tuple[PurePosixPath, ...]
    installer: str
    lock: Lock | None = None
    pip_config: Path | None = None
    removed_tools: tuple[str, ...] = PACKAGE_TOOLS
    indexed: tuple[str, ...] = ()
    """Packages that uv would take from a special index, which the build does not use."""

    def inside(self, path: Path) -> PurePosixPath:
        """The path in the image of a path of the build."""
        return self.place / path.relative_to(self.root).as_posix()

    def relative(self, path: Path) -> str:
        """A path relative to the root of the build."""
        return path.relative_to(self.root).as_posix()


def plan(application: Application, base_image: str | None = None, stock: str = STOCK) -> Plan:
    """The plan for an application. `base_image` wins over that of the file. Raises `ManifestError` for what
    no image can have."""
    refused = [each for each in application.unbuildable if not (base_image and each.path in _OF_THE_BASE)]
    if refused:
        raise ManifestError(str(application.path), tuple(refused))
    section = application.image
    lock = _lock(application)
    wanted = _locked(application, lock) if lock else application.folders
    members = members_of(wanted)
    if lock is None and (lost := [*_lost(members)]):
        raise ManifestError(str(application.path), tuple(lost))
    parts = _parts([application.folder, *(member.folder for member in members)])
    beside = [lock.root] if lock else []
    beside += [section.pip_config_file.parent] if section.pip_config_file else []
    root = _common([*parts, *beside])
    place, import_path = _places(root, members)
    early = [member for member in members if member.file_stands_alone]
    return Plan(
        application=application,
        base_image=base_image
        or section.base_image
        or stock_image(stock, python_for(application.folder, section.python_version), section.image_distro),
        root=root,
        place=place,
        parts=parts,
        requirements=() if lock else (*application.packages, *needed_from_outside(members)),
        files=tuple(member.requirements_file for member in early if member.requirements_file),
        late_files=tuple(
            member.requirements_file for member in members if member.requirements_file and member not in early
        ),
        ready=tuple(
            each.folder for each in members if each.installable and (lock or each.requirements is not None)
        ),
        unready=tuple(
            each.folder for each in members if each.installable and not lock and each.requirements is None
        ),
        import_path=import_path,
        installer=_installer(application),
        lock=lock,
        pip_config=section.pip_config_file,
        removed_tools=tuple(tool for tool in PACKAGE_TOOLS if tool not in section.keep_pkg_tools),
        indexed=() if lock else tuple(name for member in members for name in member.indexed),
    )


def _lost(members: Iterable[Member]) -> Iterable[Problem]:
    rule = "leads to no folder of the repository: the build would take a stranger's package of that name"
    for member in members:
        for name in member.lost:
            yield Problem(
                f"{member.folder / 'pyproject.toml'}: tool.uv.sources.{name}",
                f"{rule}; `source` of kind uv installs what uv.lock pins",
            )


_OF_THE_BASE: Final = ("base_image", "image_distro", "python_version")


def stock_image(stock: str, python: str, distro: str | None = None) -> str:
    """The stock runtime's image for a Python."""
    suffix = "-bookworm" if distro == "bookworm" else ""
    name, colon, tag = stock.rpartition(":")
    if not colon or "/" in tag:
        return f"{stock}:py{python}{suffix}"
    return f"{name}:{tag}-py{python}{suffix}"


def _installer(application: Application) -> str:
    """The installer: uv, as in LangGraph, unless the file asks for pip or has settings
    that only pip reads."""
    if application.image.pip_installer != "auto":
        return application.image.pip_installer
    return "pip" if application.image.pip_config_file else "uv"


def _lock(application: Application) -> Lock | None:
    source = application.image.source
    if source is None:
        return None
    members = workspace_members(source.root)
    projects = {source.root, *members.values()}
    return Lock(source.root, _package(application, members), tuple(sorted(projects)))


def _package(application: Application, members: Mapping[str, Path]) -> str | None:
    """The member of the workspace to install: the named one, else the one whose folder holds the file;
    None without one."""
    source = application.image.source
    assert source is not None
    if source.package is not None:
        if normal(source.package) not in members:
            known = ", ".join(sorted(members)) or "none"
            rule = f"must be a member of the workspace: {known}"
            raise ManifestError(str(application.path), (Problem("source.package", rule, source.package),))
        return source.package
    holding = [
        name for name, folder in members.items() if application.folder.resolve().is_relative_to(folder)
    ]
    return max(holding, key=lambda name: len(members[name].parts), default=None)


def _locked(application: Application, lock: Lock) -> tuple[Path, ...]:
    members = workspace_members(lock.root)
    return (members[normal(lock.package)],) if lock.package else (lock.root,)


def _parts(folders: Iterable[Path]) -> tuple[Path, ...]:
    """The folders without those inside others."""
    real = sorted({folder.resolve() for folder in folders}, key=lambda path: len(path.parts))
    kept: list[Path] = []
    for folder in real:
        if not any(folder.is_relative_to(other) for other in kept):
            kept.append(folder)
    return tuple(sorted(kept))


def _common(folders: Iterable[Path]) -> Path:
    return Path(os.path.commonpath([folder.resolve() for folder in folders]))


def _places(root: Path, members: Iterable[Member]) -> tuple[PurePosixPath, tuple[PurePosixPath, ...]]:
    """The root's place in the image, and what else is on the import path: a folder that is itself a package
    is imported by its name.
    """
    plain = [member.folder for member in members if not member.installable and member.name is None]
    named = [folder for folder in plain if (folder / "__init__.py").is_file()]
    place = APP / root.name if root in named else APP
    above = (
        place / folder.relative_to(root).parent.as_posix() if folder != root else APP for folder in named
    )
    return place, tuple(dict.fromkeys(above))
