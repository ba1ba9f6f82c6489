"""By which names Python would import a file, best first. Reads folders and the import path; imports nothing.

A file of a package is called as its package calls it, whichever folders are on the import path; one outside
of any package is called as from the nearest folder of the import path.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Final

INIT: Final = "__init__.py"
_RELATIVE_IMPORT: Final = re.compile(rb"^[ \t]*from[ \t]+\.", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ModuleName:
    """A name by which a file can be imported."""

    root: Path
    """The folder in which the first part of the name stands."""
    parts: tuple[str, ...]

    @property
    def dotted(self) -> str:
        """The name, as in an `import`."""
        return ".".join(self.parts)

    @property
    def packages(self) -> str:
        """The name of the package; empty for a module outside of any."""
        return ".".join(self.parts[:-1])


def names_of(path: Path, import_path: Sequence[str]) -> list[ModuleName]:
    """The names by which an import would find this file and no other, best first."""
    root = package_root(path)
    depth = len(parts_below(path, root))
    folders = dict.fromkeys([root, *map(absolute, import_path)])
    named = [ModuleName(folder, parts_below(path, folder)) for folder in folders if folder in path.parents]
    if imports_relatively(path) and path.name != INIT:
        named = [name for name in named if name.packages]
    return [name for name in sorted(named, key=lambda name: _rank(name, depth)) if _leads_to(name, path)]


def free_name(path: Path) -> ModuleName | None:
    """The name of a file in its package, where nothing else is called as that package: what it could be
    imported by, were the folder above on the import path."""
    root = package_root(path)
    parts = parts_below(path, root)
    if root == path.parent or any("." in part for part in parts) or _spec(parts[0]) is not None:
        return None
    return ModuleName(root, parts)


def known(module: str) -> bool:
    """Whether there is something to import that the name begins with."""
    return _spec(module.partition(".")[0]) is not None


def package_root(path: Path) -> Path:
    """The folder above the outermost package that the file is in; its own folder when it is in none."""
    folder = path.parent
    while (folder / INIT).is_file() and folder != folder.parent:
        folder = folder.parent
    return folder


def imports_relatively(path: Path) -> bool:
    """Whether the file has to be a part of a package."""
    return _RELATIVE_IMPORT.search(path.read_bytes()) is not None


def parts_below(path: Path, folder: Path) -> tuple[str, ...]:
    """The parts of the name that a file has from a folder on; none for the package that the folder is."""
    parts = path.relative_to(folder).with_suffix("").parts
    return parts[:-1] if path.name == INIT else parts


def _rank(name: ModuleName, depth: int) -> tuple[bool, int]:
    """Names that keep the packages whole come first, those with least around them before others; then those
    that keep most of them."""
    missing = depth - len(name.parts)
    return missing > 0, abs(missing)


def _leads_to(name: ModuleName, path: Path) -> bool:
    if not name.parts or any("." in part for part in name.parts):
        return False
    spec = _spec(name.parts[0])
    if spec is None:
        return False
    if len(name.parts) == 1:
        return is_file(spec.origin, path)
    return any(is_file(folder, name.root / name.parts[0]) for folder in _folders(spec))


def _spec(module: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        # A module that was made by hand has no spec.
        return None


def _folders(spec: ModuleSpec) -> Iterator[str]:
    yield from spec.submodule_search_locations or ()


def absolute(path: str | Path) -> Path:
    """The whole path. Links are kept: the files of a ConfigMap are links into a folder without a name for a
    module."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def is_file(found: str | None, path: Path) -> bool:
    """Whether what an import found is this file, or this folder."""
    try:
        return found is not None and path.samefile(found)
    except OSError:
        return False
