"""Every place where two answers differ, and which of them are known and explained."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compat.player import Answer

KNOWN = Path(__file__).with_name("known.toml")
ABSENT = "(absent)"
PLACE = re.compile(r"\[\d+\]")  # a place in a list: any is meant


@dataclass(frozen=True)
class Difference:
    """One place: what the development server has there, and what this one has."""

    operation: str
    variant: str
    path: str
    development: Any
    runtime: Any

    def __str__(self) -> str:
        return (
            f"{self.operation} [{self.variant}] {self.path}: "
            f"{_short(self.development)} there, {_short(self.runtime)} here"
        )


@dataclass(frozen=True)
class Known:
    """A difference that stays, why, and where the documentation says so. In patterns, `*` is anything."""

    paths: tuple[str, ...]
    reason: str
    section: str
    operations: tuple[str, ...] = ("*",)
    variants: tuple[str, ...] = ("*",)
    applications: tuple[str, ...] = ("*",)
    development: str = "*"
    runtime: str = "*"

    def explains(self, application: str, found: Difference) -> bool:
        """Whether this is that difference."""
        return (
            _any(PLACE.sub("[]", found.path), self.paths)
            and _any(found.operation, self.operations)
            and _any(found.variant, self.variants)
            and _any(application, self.applications)
            and _any(str(found.development), (self.development,))
            and _any(str(found.runtime), (self.runtime,))
        )


def _any(text: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the patterns fits; `*` stands for anything, all else for itself."""
    return any(
        re.fullmatch(".*".join(map(re.escape, each.split("*"))), text, re.DOTALL) is not None
        for each in patterns
    )


def known(path: Path = KNOWN) -> list[Known]:
    """The list of them."""
    return [
        Known(**{key: tuple(value) if isinstance(value, list) else value for key, value in table.items()})
        for table in tomllib.loads(path.read_text())["known"]
    ]


def differences(development: list[Answer], runtime: list[Answer]) -> list[Difference]:
    """All places where they differ; an answer that only one of them gave is one place."""
    theirs = {(each.operation, each.variant): each.value for each in development}
    ours = {(each.operation, each.variant): each.value for each in runtime}
    found = []
    for key in [*theirs, *(key for key in ours if key not in theirs)]:
        for path, there, here in _differ(theirs.get(key, ABSENT), ours.get(key, ABSENT), ""):
            found.append(Difference(*key, path.lstrip("."), there, here))
    return found


def _differ(there: Any, here: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(there, dict) and isinstance(here, dict):
        for key in [*there, *(key for key in here if key not in there)]:
            yield from _differ(there.get(key, ABSENT), here.get(key, ABSENT), f"{path}.{key}")
    elif isinstance(there, list) and isinstance(here, list):
        if len(there) != len(here):
            yield f"{path}.length", [_mark(each) for each in there], [_mark(each) for each in here]
            return
        for at, (one, other) in enumerate(zip(there, here, strict=True)):
            yield from _differ(one, other, f"{path}[{at}]")
    elif there != here or isinstance(there, bool) != isinstance(here, bool):
        yield path, there, here


def _mark(value: Any) -> Any:
    """An element of a list of another length, in short: an event's name, else the value."""
    return value[0] if isinstance(value, list) and value and isinstance(value[0], str) else value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 400 else f"{text[:400]}…"
