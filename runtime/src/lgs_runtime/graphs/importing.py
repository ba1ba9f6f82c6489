"""Imports the variable that `path:variable` names in the user's code: from a file relative to the service's
source folder, or from a dotted module. Whatever goes wrong is a `ConfigError` that shows where."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

import structlog

from lgs_runtime.checks import kind_of
from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.module_names import ModuleName, absolute, free_name, is_file, known, names_of
from lgs_runtime.graphs.private_modules import import_privately
from lgs_runtime.tracebacks import passed_through, place_of, summary, user_traceback

FILE_SUFFIXES: Final = (".py",)
OTHER_LANGUAGE: Final = (".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx")
_Kind = TypeVar("_Kind")
log = structlog.get_logger(__name__)


class ImportFailed(ConfigError):
    """A module of the user's code raised while it was imported."""

    def __init__(self, where: str, raised: BaseException) -> None:
        said = f"{where}: it raised at import: {summary(raised)}{_way_out(raised)}"
        super().__init__(said, shown=user_traceback(raised))
        self.raised = raised


def _way_out(raised: BaseException) -> str:
    """What to do about a module that was not found; empty if its package is there, perhaps in an older
    version without it."""
    if not isinstance(raised, ModuleNotFoundError) or not raised.name or known(raised.name):
        return ""
    name, folder = raised.name.partition(".")[0], Path(place_of(raised).rpartition(":")[0]).parent
    if (folder / f"{name}.py").is_file() or (folder / name).is_dir():
        return f"; {name} stands beside it: add {folder} to dependencies of langgraph.json"
    return f"; {name} must be installed beside lgs-runtime, or stand in a folder of dependencies"


def extend_import_path(paths: tuple[Path, ...]) -> None:
    """Appends folders to the import path, in their order, each once: behind the standard library and
    installed packages, like LangGraph's server. A folder of the application that has the name of a package
    must not replace the package in the libraries that need it."""
    sys.path.extend(path for path in dict.fromkeys(map(str, paths)) if path not in sys.path)


def module_of(path: str, source: Path, where: str) -> tuple[ModuleType, str]:
    """Imports the module of `path:variable`; returns it and the variable's name. `where` begins the error
    messages."""
    location, _, variable = path.rpartition(":")
    return import_module(location, source, where), variable


def variable_in(path: str, source: Path, where: str) -> Any:
    """The value of `path:variable`. Raises `ConfigError`."""
    module, variable = module_of(path, source, where)
    try:
        return getattr(module, variable)
    except AttributeError:
        names = ", ".join(name for name in vars(module) if not name.startswith("_")) or "none"
        raise ConfigError(f"{where}: {module.__name__} has no variable {variable}; it has: {names}") from None


def sdk_object(
    path: str, kind: type[_Kind], source: Path, import_paths: tuple[Path, ...], where: str
) -> _Kind:
    """The value of `path:variable`, which must be an object of the `langgraph_sdk` class `kind`. Raises
    `ConfigError`."""
    extend_import_path(import_paths)
    found = variable_in(path, source, where)
    if not isinstance(found, kind):
        raise ConfigError(
            f"{where}: it is {kind_of(found)}; it must be a langgraph_sdk.{kind.__name__} object"
        )
    return found


def import_module(location: str, source: Path, where: str) -> ModuleType:
    """Imports a module by its dotted name, or by its file relative to `source`. Raises `ConfigError`, whose
    message begins with `where`."""
    location = location.replace("\\", "/")
    if location.endswith(OTHER_LANGUAGE):
        raise ConfigError(f"{where}: {location}: must be Python; this server runs no JavaScript")
    if location.endswith(FILE_SUFFIXES) or "/" in location:
        path = absolute(source / location)
        if not path.is_file():
            raise ConfigError(f"{where}: {path}: must be a file that exists")
        return _guarded(lambda: _import_file(path), where)
    return _guarded(lambda: importlib.import_module(location), where)


def _import_file(path: Path) -> ModuleType:
    """Imports a file the way the rest of the application would, so that only one module of it exists, its
    package's imports work, and its pickled names agree. A file without such a name gets a private one."""
    name = next(iter(names_of(path, sys.path)), None)
    if name is None and (name := free_name(path)) is not None:
        # A package that is neither installed nor named among the dependencies.
        extend_import_path((name.root,))
    if name is None:
        return import_privately(path)
    try:
        module = importlib.import_module(name.dotted)
    # Whatever the packages around the file raise: the file may work without them.
    except Exception as raised:  # noqa: BLE001 - raised again there, or logged
        return _import_alone(path, name, raised)
    return module if is_file(getattr(module, "__file__", None), path) else import_privately(path)


def _import_alone(path: Path, name: ModuleName, raised: Exception) -> ModuleType:
    """Imports a file by itself, like LangGraph's server, because its package can't be imported. Raises the
    package's error if the file itself caused it, or if the file needs its package."""
    if not name.packages or passed_through(raised, path):
        raise raised
    try:
        module = import_privately(path, alone=True)
    # The module needs its package, so the error must name what the package raised.
    except Exception:  # noqa: BLE001 - what was raised first is raised
        raise raised from None
    log.warning(
        "graph.imported_without_its_package", file=str(path), package=name.packages, reason=summary(raised)
    )
    return module


def _guarded(load: Callable[[], ModuleType], where: str) -> ModuleType:
    """Runs an import; whatever the user's module raises becomes a `ConfigError` that shows where."""
    try:
        return load()
    except KeyboardInterrupt:
        raise
    # The module is the user's: it may raise anything, even a SystemExit; all of it is reported.
    except BaseException as raised:
        raise ImportFailed(where, raised) from raised
