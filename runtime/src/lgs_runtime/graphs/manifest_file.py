"""Reads `langgraph.json` (or YAML) and the file of variables that it names. Wrong syntax is a `ConfigError`
that gives the line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import structlog
from dotenv import dotenv_values
from dotenv.parser import parse_stream

from lgs_runtime.errors import ConfigError

ENCODING = "utf-8-sig"
"""UTF-8, with the byte order mark that some editors write."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """The content of the file, and the variables that it gives; empty without a path."""

    path: Path | None = None
    content: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path | None:
        """The folder of the file; None without a file."""
        return self.path.parent if self.path else None


def read_manifest(path: Path, name: str) -> ManifestFile:
    """Reads the file that the setting `name` points to. Raises `ConfigError`."""
    if not path.is_file():
        raise ConfigError(f"{name}: {path}: must be a file that exists")
    text, where = _text(path, name), str(path)
    content = _parse_yaml(text, where) if path.suffix in (".yaml", ".yml") else parse_json(text, where)
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: {type(content).__name__}: must be an object with a key `graphs`")
    whole = path.absolute()
    return ManifestFile(whole, content, _env(content.get("env"), whole.parent, f"{where}: env"))


def _text(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding=ENCODING)
    except (OSError, UnicodeDecodeError) as wrong:
        raise ConfigError(f"{name}: {path}: must be a text in UTF-8 that can be read: {wrong}") from wrong


def parse_json(text: str, where: str) -> Any:
    """Parses JSON. Raises `ConfigError` with line and column."""
    try:
        content = json.loads(text, object_pairs_hook=_unique)
        json.dumps(content, ensure_ascii=False).encode()
    except json.JSONDecodeError as wrong:
        raise ConfigError(
            f"{where}: line {wrong.lineno} column {wrong.colno}: must be JSON: {wrong.msg}"
        ) from wrong
    except _RepeatedKeyError as wrong:
        raise ConfigError(f"{where}: {wrong.args[0]}: stands twice in one object: must stand once") from None
    except (RecursionError, ValueError) as wrong:
        # Too many levels or digits, or half of a surrogate pair, which is valid JSON but no text.
        raise ConfigError(f"{where}: must be JSON that can be read: {wrong}") from wrong
    return content


class _RepeatedKeyError(ValueError):
    """A key stands twice in one object, and one of its values would be lost."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _RepeatedKeyError(name)
        found[name] = value
    return found


def _parse_yaml(text: str, where: str) -> Any:
    import yaml  # noqa: PLC0415 - nearly every manifest is JSON

    from lgs_runtime.graphs.unique_keys import UniqueKeyLoader  # noqa: PLC0415

    try:
        return yaml.load(text, UniqueKeyLoader)
    except yaml.MarkedYAMLError as wrong:
        line = wrong.problem_mark.line + 1 if wrong.problem_mark else 1
        raise ConfigError(f"{where}: line {line}: must be YAML: {wrong.problem}") from wrong
    except (yaml.YAMLError, RecursionError, ValueError) as wrong:
        raise ConfigError(f"{where}: line 1: must be YAML: {wrong}") from wrong


def _env(content: Any, folder: Path, where: str) -> Mapping[str, str]:
    if content is None:
        return {}
    if isinstance(content, dict):
        return dict(_variable(str(name), value, where) for name, value in content.items())
    if isinstance(content, list):
        # A list names variables that the environment must provide.
        return {}
    if not isinstance(content, str) or not content:
        raise ConfigError(f"{where}: {content!r}: must be a file, or an object of names to values")
    path = folder / content
    if not path.is_file():
        # Nobody commits this file, and no image has it: there the variables come from the environment.
        log.warning("config.env_file_missing", where=where, file=content, looked_at=str(path))
        return {}
    given = dotenv_values(stream=StringIO(_readable(_text(path, where), where, content)))
    return dict(_variable(name, value, where) for name, value in given.items() if value is not None)


def _readable(text: str, where: str, file: str) -> str:
    """The text of a file of variables without its invalid lines, which are logged."""
    found = list(parse_stream(StringIO(text)))
    if wrong := [each.original.line for each in found if each.error]:
        log.warning("config.env_lines", where=where, file=file, lines=wrong)
    return "".join(each.original.string for each in found if not each.error)


def _variable(name: str, value: Any, where: str) -> tuple[str, str]:
    if not name or "=" in name or "\0" in name:
        raise ConfigError(f"{where}: {name!r}: must be a name of a variable, without = and NUL")
    if not isinstance(value, str | int | float) or "\0" in str(value):
        raise ConfigError(
            f"{where}.{name}: {value!r}: must be a text, a number, or true or false, without NUL"
        )
    return name, str(value).lower() if isinstance(value, bool) else str(value)
