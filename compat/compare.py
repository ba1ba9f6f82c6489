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
IDENT = re.compile(r"<id ([^>]+)>")
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
        places = _Comparison().of(theirs.get(key, ABSENT), ours.get(key, ABSENT), "")
        found += [Difference(*key, path.lstrip("."), there, here) for path, there, here in places]
    return found


class _Comparison:
    """One answer of each server. An id of one stands for one id of the other wherever both have one."""

    def __init__(self) -> None:
        self._ours: dict[str, str] = {}
        self._theirs: dict[str, str] = {}

    def of(self, there: Any, here: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
        if isinstance(there, dict) and isinstance(here, dict):
            for key, one, other in _fields(there, here):
                yield from self.of(one, other, f"{path}.{key}")
        elif isinstance(there, list) and isinstance(here, list):
            if len(there) != len(here):
                yield f"{path}.length", [_mark(each) for each in there], [_mark(each) for each in here]
                return
            for at, (one, other) in enumerate(zip(there, here, strict=True)):
                yield from self.of(one, other, f"{path}[{at}]")
        elif isinstance(there, str) and isinstance(here, str):
            if not self._alike(there, here):
                yield path, there, here
        elif there != here or isinstance(there, bool) != isinstance(here, bool):
            yield path, there, here

    def _alike(self, there: str, here: str) -> bool:
        if IDENT.sub("<id>", there) != IDENT.sub("<id>", here):
            return False
        pairs = list(zip(IDENT.findall(there), IDENT.findall(here), strict=True))
        return all(
            self._ours.setdefault(one, other) == other and self._theirs.setdefault(other, one) == one
            for one, other in pairs
        )


def _fields(there: dict[str, Any], here: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """The fields of both, side by side. Keys that are ids are taken in the order in which they come."""
    ours, theirs = _numbered(here), _numbered(there)
    for key in [*theirs, *(key for key in ours if key not in theirs)]:
        yield key, theirs.get(key, ABSENT), ours.get(key, ABSENT)


def _numbered(value: dict[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, each in value.items():
        name = IDENT.sub("<id>", key)
        count = 1
        while name in plain:
            count += 1
            name = f"{IDENT.sub('<id>', key)} {count}"
        plain[name] = each
    return plain


def _mark(value: Any) -> Any:
    """An element of a list of another length, in short: an event's name, else the value."""
    return value[0] if isinstance(value, list) and value and isinstance(value[0], str) else value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 400 else f"{text[:400]}…"
