"""Imports a file that no import would find: it is not on the import path, something else has its name, or its
name is no valid Python name. The module gets a private name made from its path, and so does the package
around it, so that its relative imports work."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from lgs_runtime.graphs.module_names import INIT, imports_relatively, package_root, parts_below

PREFIX = "lgs_graph_"


def import_privately(path: Path, *, alone: bool = False) -> ModuleType:
    """The module of a file, together with the package that it is in or takes itself to be in, unless
    `alone`."""
    root = package_root(path)
    if root == path.parent and imports_relatively(path):
        root = path.parent.parent
    parts = parts_below(path, root)
    if alone or root == path.parent or any("." in part for part in parts[1:]):
        return _import(_name_for(path), path)
    top, *rest = parts
    name = _name_for(root / top)
    if name not in sys.modules:
        _import_package(name, root / top)
    return importlib.import_module(".".join([name, *rest]))


def _import_package(name: str, folder: Path) -> None:
    init = folder / INIT
    if init.is_file():
        _import(name, init, [str(folder)])
        return
    module = ModuleType(name)
    module.__path__ = [str(folder)]
    module.__spec__ = importlib.util.spec_from_loader(name, None, is_package=True)
    sys.modules[name] = module


def _import(name: str, path: Path, folders: list[str] | None = None) -> ModuleType:
    known = sys.modules.get(name)
    if known is not None:
        return known
    found = importlib.util.spec_from_file_location(name, path, submodule_search_locations=folders)
    if found is None or found.loader is None:
        raise ImportError(f"{path} can't be imported")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _name_for(path: Path) -> str:
    return PREFIX + hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
