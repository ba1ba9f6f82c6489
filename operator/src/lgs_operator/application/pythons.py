"""Finds out which Python an application is for."""

from __future__ import annotations

from pathlib import Path

from lgs_operator.application.model import SUPPORTED_PYTHONS
from lgs_operator.application.poetry import versions
from lgs_operator.application.project import pyproject_of, upwards


def python_for(folder: Path, asked: str | None) -> str:
    """The Python of an image: what `python_version` asks for, else the repository's `.python-version`, else
    the newest supported one that `requires-python` allows.
    """
    if asked:
        return asked
    for place in upwards(folder):
        try:
            pinned = (place / ".python-version").read_text("utf-8-sig").strip().removeprefix("cpython-")
        except (OSError, UnicodeDecodeError):
            continue
        version = ".".join(pinned.split(".")[:2])
        if version in SUPPORTED_PYTHONS:
            return version
    specifier = required_by(folder)
    fitting = [version for version in SUPPORTED_PYTHONS if allows(specifier, version)]
    return (fitting or SUPPORTED_PYTHONS)[-1]


def required_by(folder: Path) -> str:
    """The `requires-python` of the folder's `pyproject.toml`, else Poetry's; empty if it has neither."""
    content = pyproject_of(folder)
    poetry = content.get("tool", {}).get("poetry", {}).get("dependencies", {}).get("python", "")
    return str(content.get("project", {}).get("requires-python", versions(str(poetry))))


def allows(specifier: str, version: str) -> bool:
    """Whether `requires-python` allows any release of a minor version."""
    minor = tuple(map(int, version.split(".")))
    return all(_clause(clause.strip(), minor) for clause in specifier.split(","))


def _clause(clause: str, minor: tuple[int, ...]) -> bool:
    sign = "".join(character for character in clause[:2] if character in "<>=!~")
    numbers = clause[len(sign) :].strip().removesuffix(".*").split(".")
    if not sign or not all(number.isdigit() for number in numbers):
        return True
    bound = tuple(map(int, numbers))
    if sign == "<":
        return minor < bound if len(bound) <= 2 else minor <= bound[:2]
    if sign == "<=":
        return minor <= bound[:2]
    if sign == "==" or (sign == "~=" and len(bound) > 2):
        return minor == bound[:2]
    return minor >= bound[:2] if sign in (">=", ">", "~=") else True
