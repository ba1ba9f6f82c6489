"""A `langgraph.json` as values. Only what an image or a manifest needs is parsed; the server's sections
(`http`, `auth`, `store`, …) are read by the runtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lgs_crds import Problem

SUPPORTED_PYTHONS = ("3.11", "3.12", "3.13")
PACKAGE_TOOLS = ("pip", "setuptools", "wheel")


@dataclass(frozen=True, slots=True)
class UvSource:
    """A `source` of kind `uv`: what to install is read from the `uv.lock` in `root`."""

    root: Path
    package: str | None = None


@dataclass(frozen=True, slots=True)
class ImageSection:
    """The keys that say how an image is built."""

    python_version: str | None = None
    base_image: str | None = None
    image_distro: str | None = None
    dockerfile_lines: tuple[str, ...] = ()
    pip_config_file: Path | None = None
    pip_installer: str = "auto"
    keep_pkg_tools: tuple[str, ...] = ()
    source: UvSource | None = None


@dataclass(frozen=True, slots=True)
class Application:
    """The content of the file, with absolute paths.

    `notes` are worth knowing but no problems; a file with problems makes no application.
    """

    path: Path
    graphs: Mapping[str, str]
    folders: tuple[Path, ...] = ()
    """The `dependencies` that are folders."""
    packages: tuple[str, ...] = ()
    """The `dependencies` that are requirements of pip."""
    env_file: Path | None = None
    """The file of variables that `env` names, which may not exist."""
    env: Mapping[str, str] = field(default_factory=dict)
    has_auth: bool = False
    image: ImageSection = field(default_factory=ImageSection)
    unbuildable: tuple[Problem, ...] = ()
    """Problems with what no image of ours can have."""
    notes: tuple[Problem, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder of the file, which all its paths are relative to."""
        return self.path.parent
