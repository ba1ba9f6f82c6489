"""Finds the variable that `path:variable` names in the user's code: of a file relative to the service's
source folder, or of a dotted module. Whatever goes wrong on the way is a `ConfigError` that shows where."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from lgs_runtime.errors import ConfigError

FILE_SUFFIXES = (".py",)
OTHER_LANGUAGE = (".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx")
_Kind = TypeVar("_Kind")


def extend_import_path(paths: tuple[Path, ...]) -> None:
    """Puts folders first on the import path, in their order, each once."""
    wanted = [str(path) for path in paths]
    sys.path[:] = list(dict.fromkeys([*wanted, *(entry for entry in sys.path if entry not in wanted)]))


def module_of(path: str, source: Path, where: str) -> tuple[ModuleType, str]:
    """The module of `path:variable`, imported, and the variable's name. `where` begins the messages."""
    location, _, variable = path.rpartition(":")
    return import_module(location, source, where), variable


def variable_in(path: str, source: Path, where: str) -> Any:
    """What `path:variable` holds. Raises `ConfigError`."""
    module, variable = module_of(path, source, where)
    try:
        return getattr(module, variable)
    except AttributeError:
        names = ", ".join(name for name in vars(module) if not name.startswith("_")) or "none"
        raise ConfigError(f"{where}: {module.__name__} has no variable {variable}; it has: {names}") from None


def sdk_object(
    path: str, kind: type[_Kind], source: Path, import_paths: tuple[Path, ...], where: str
) -> _Kind:
    """What `path:variable` holds, an object of a class of `langgraph_sdk`. Raises `ConfigError`."""
    extend_import_path(import_paths)
    found = variable_in(path, source, where)
    if not isinstance(found, kind):
        raise ConfigError(
            f"{where}: it is a {type(found).__name__}; it must be a langgraph_sdk.{kind.__name__} object"
        )
    return found


def import_module(location: str, source: Path, where: str) -> ModuleType:
    """A module by its dotted name, or by its file, relative to `source`. Raises `ConfigError`, which begins
    with `where`."""
    if location.endswith(OTHER_LANGUAGE):
        raise ConfigError(f"{where}: {location}: must be Python; this server runs no JavaScript")
    if location.endswith(FILE_SUFFIXES) or "/" in location:
        path = (source / location).resolve()
        if not path.is_file():
            raise ConfigError(f"{where}: {path}: must be a file that exists")
        return _guarded(lambda: _import_file(path, source), where, path)
    return _guarded(lambda: importlib.import_module(location), where, None)


def _import_file(path: Path, source: Path) -> ModuleType:
    """Imports a file under its dotted name below the source folder, so that its own package's imports and
    its pickled names agree; a file elsewhere gets a name made from its path."""
    name = _module_name(path, source)
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) == str(path):
        return sys.modules[name]
    if name in sys.modules or importlib.util.find_spec(name.partition(".")[0]) is None:
        name = f"lgs_graph_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise ImportError(f"{path} can't be imported")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _module_name(path: Path, source: Path) -> str:
    base = source.resolve()
    relative = path.relative_to(base) if path.is_relative_to(base) else Path(path.name)
    return ".".join(relative.with_suffix("").parts)


def _guarded(load: Callable[[], ModuleType], where: str, path: Path | None) -> ModuleType:
    """Runs an import; whatever the user's module raises becomes a `ConfigError` that shows where."""
    try:
        return load()
    # The module is the user's: anything may come, and all of it is told.
    except Exception as raised:
        line = _last_line(raised, path)
        said = "".join(traceback.format_exception_only(raised)).strip().splitlines()[-1]
        raise ConfigError(f"{where}: it raised at import: {said} ({line})") from raised


def _last_line(raised: BaseException, path: Path | None) -> str:
    """`file:line` nearest to the user's code: the last frame in the graph's file, else the last of all."""
    if isinstance(raised, SyntaxError) and raised.filename:
        return f"{raised.filename}:{raised.lineno}"
    frames = traceback.extract_tb(raised.__traceback__)
    own = [frame for frame in frames if path is not None and frame.filename == str(path)]
    user = [frame for frame in frames if "importlib" not in frame.filename]
    chosen = (own or user or list(frames))[-1]
    return f"{chosen.filename}:{chosen.lineno}"
