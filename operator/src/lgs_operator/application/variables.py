"""Checks `path:variable` in a `langgraph.json`: whether the file exists and has that name,
without running it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lgs_operator.application.findings import Findings, nearest
from lgs_operator.application.names import NotPython, names_in

JAVASCRIPT = (".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx")


@dataclass(frozen=True, slots=True)
class Places:
    """The folder to which paths are relative, and where modules are searched. Without `check_code` only the
    form of a path is checked, not the file."""

    folder: Path
    import_path: tuple[Path, ...]
    check_code: bool = True


def is_javascript(value: Any) -> bool:
    """Whether a path names a file in JavaScript or TypeScript."""
    return isinstance(value, str) and value.rpartition(":")[0].endswith(JAVASCRIPT)


def check_variable(findings: Findings, path: str, value: Any, places: Places, example: str) -> None:
    """Adds the problems of a `path:variable`. A dotted module that is in none of the places may be an
    installed package, so it is no problem.
    """
    location, colon, variable = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not (location and colon and variable):
        findings.wrong(path, f"must be path:variable, such as {example}", value)
    elif is_javascript(value):
        findings.wrong(path, "must be Python: this server runs no JavaScript", value)
    elif places.check_code and (file := _file(location, places.folder, places.import_path)) is not None:
        _check_file(findings, path, value, file, variable)


def _file(location: str, folder: Path, import_path: Sequence[Path]) -> Path | None:
    """The file that a location means; None if only an import could find it."""
    if location.endswith(".py") or "/" in location or "\\" in location:
        return folder / location
    parts = location.split(".")
    for base in import_path:
        for file in (base.joinpath(*parts).with_suffix(".py"), base.joinpath(*parts, "__init__.py")):
            if file.is_file():
                return file
    return None


def _check_file(findings: Findings, path: str, value: str, file: Path, variable: str) -> None:
    if not file.is_file():
        findings.wrong(path, f"there is no file {file}", value)
        return
    try:
        names = names_in(file)
    except NotPython as wrong:
        findings.wrong(path, f"{file.name} is not Python that can be read: {wrong}", value)
        return
    except OSError as error:
        findings.wrong(path, f"{file} can't be read: {error.strerror}", value)
        return
    if variable not in names.defined and not names.open:
        findings.wrong(path, f"{file.name} has no {variable}{nearest(variable, names.defined)}", value)
