"""The names by which Python would import a file, best first. Reads folders and the import path; imports
nothing.

A file in a package has the name that its package gives it, whichever folders are on the import path; a file
outside of any package has its name from the nearest folder on the import path.
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
    """The folder that contains the first part of the name."""
    parts: tuple[str, ...]

    @property
    def dotted(self) -> str:
        """The name as in an `import`."""
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
    """The name of a file in its package, if nothing else has that package's name: the name by which it could
    be imported if the folder above were on the import path."""
    root = package_root(path)
    parts = parts_below(path, root)
    if root == path.parent or any("." in part for part in parts) or _spec(parts[0]) is not None:
        return None
    return ModuleName(root, parts)


def known(module: str) -> bool:
    """Whether something with the name's first part can be imported."""
    return _spec(module.partition(".")[0]) is not None


def package_root(path: Path) -> Path:
    """The folder above the outermost package that contains the file; the file's own folder if it is in no
    package."""
    folder = path.parent
    while (folder / INIT).is_file() and folder != folder.parent:
        folder = folder.parent
    return folder


def imports_relatively(path: Path) -> bool:
    """Whether the file imports relatively, so that it must be part of a package."""
    return _RELATIVE_IMPORT.search(path.read_bytes()) is not None


def parts_below(path: Path, folder: Path) -> tuple[str, ...]:
    """The parts of a file's module name below a folder; empty for the folder's own package."""
    parts = path.relative_to(folder).with_suffix("").parts
    return parts[:-1] if path.name == INIT else parts


def _rank(name: ModuleName, depth: int) -> tuple[bool, int]:
    """Sort key: names that keep the packages whole come first, those with the fewest folders around them
    before others; then the names that keep most of the packages."""
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
    """The absolute path. Links are kept: the files of a ConfigMap are links into a folder whose name can't be
    a module's."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def is_file(found: str | None, path: Path) -> bool:
    """Whether what an import found is this file or folder."""
    try:
        return found is not None and path.samefile(found)
    except OSError:
        return False
