"""Finds the variable that `path:variable` names in the user's code: of a file relative to the service's
source folder, or of a dotted module. Whatever goes wrong on the way is a `ConfigError` that shows where."""

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
    """A module of the user's raised while it was imported."""

    def __init__(self, where: str, raised: BaseException) -> None:
        said = f"{where}: it raised at import: {summary(raised)}{_way_out(raised)}"
        super().__init__(said, shown=user_traceback(raised))
        self.raised = raised


def _way_out(raised: BaseException) -> str:
    """What to do about a module that was not found; nothing about one that is an older version's."""
    if not isinstance(raised, ModuleNotFoundError) or not raised.name or known(raised.name):
        return ""
    name, folder = raised.name.partition(".")[0], Path(place_of(raised).rpartition(":")[0]).parent
    if (folder / f"{name}.py").is_file() or (folder / name).is_dir():
        return f"; {name} stands beside it: add {folder} to dependencies of langgraph.json"
    return f"; {name} must be installed beside lgs-runtime, or stand in a folder of dependencies"


def extend_import_path(paths: tuple[Path, ...]) -> None:
    """Puts folders last on the import path, in their order, each once: behind the standard library and what
    is installed, as where LangGraph's server has them. A folder of the application that is called as a
    package is must not take the package's place in the libraries that need it."""
    sys.path.extend(path for path in dict.fromkeys(map(str, paths)) if path not in sys.path)


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
            f"{where}: it is {kind_of(found)}; it must be a langgraph_sdk.{kind.__name__} object"
        )
    return found


def import_module(location: str, source: Path, where: str) -> ModuleType:
    """A module by its dotted name, or by its file, relative to `source`. Raises `ConfigError`, which begins
    with `where`."""
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
    """Imports a file as the rest of the application would import it, so that there is one module of it, its
    package's imports work and its pickled names agree. What has no such name gets a name of ours."""
    name = next(iter(names_of(path, sys.path)), None)
    if name is None and (name := free_name(path)) is not None:
        # A package that nobody has installed, nor named among the dependencies.
        extend_import_path((name.root,))
    if name is None:
        return import_privately(path)
    try:
        module = importlib.import_module(name.dotted)
    # Whatever the packages around the file raise: without them it may do.
    except Exception as raised:  # noqa: BLE001 - raised again there, or logged
        return _import_alone(path, name, raised)
    return module if is_file(getattr(module, "__file__", None), path) else import_privately(path)


def _import_alone(path: Path, name: ModuleName, raised: Exception) -> ModuleType:
    """A file whose package can't be imported, by itself, as LangGraph's server imports each. Raises what the
    package raised where that was the file's own doing, or where the file needs its package."""
    if not name.packages or passed_through(raised, path):
        raise raised
    try:
        module = import_privately(path, alone=True)
    # Then the module needs its package, and the error must name that.
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
    # The module is the user's: it may raise anything (a SystemExit too), all of which is reported.
    except BaseException as raised:
        raise ImportFailed(where, raised) from raised
