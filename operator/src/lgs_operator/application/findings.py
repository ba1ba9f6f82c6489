"""Collects what is found while a file is read: each finding in the form `name: value: rule`, so that all are
reported at once. A value of the wrong type is a problem, and reads as if it were absent."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from lgs_crds import ABSENT, Problem


@dataclass(slots=True)
class Findings:
    """The findings of one file. `problems` keep it from working; `unbuildable` only keep an image from being
    built; `notes` are worth knowing.
    """

    problems: list[Problem] = field(default_factory=list)
    unbuildable: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)

    def wrong(self, path: str, rule: str, value: Any = ABSENT) -> None:
        """Adds a problem."""
        self.problems.append(Problem(path, rule, value))

    def not_in_images(self, path: str, rule: str, value: Any = ABSENT) -> None:
        """Adds something that no image of ours can have."""
        self.unbuildable.append(Problem(path, rule, value))

    def note(self, path: str, rule: str, value: Any = ABSENT) -> None:
        """Adds a note about something that works."""
        self.notes.append(Problem(path, rule, value))

    def text(self, given: Mapping[str, Any], name: str, path: str | None = None) -> str | None:
        """Reads a text that is not empty; None if it is absent or wrong."""
        value = given.get(name)
        if value is None or (isinstance(value, str) and value.strip()):
            return value
        rule = "must be a text that is not empty"
        if isinstance(value, int | float) and not isinstance(value, bool):
            rule = f'must be a text: "{value}"'
        self.wrong(path or name, rule, value)
        return None

    def texts(self, given: Mapping[str, Any], name: str) -> tuple[str, ...]:
        """Reads a list of texts; empty if it is absent or wrong."""
        value = given.get(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            self.wrong(name, "must be a list of texts", value)
            return ()
        for index, entry in enumerate(value):
            if not isinstance(entry, str) or not entry.strip():
                self.wrong(f"{name}[{index}]", "must be a text that is not empty", entry)
        return tuple(entry for entry in value if isinstance(entry, str) and entry.strip())

    def section(self, given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
        """Reads an object; empty if it is absent or wrong."""
        value = given.get(name)
        if value is None or isinstance(value, dict):
            return value or {}
        self.wrong(name, "must be an object", value)
        return {}

    def choice(self, given: Mapping[str, Any], name: str, choices: Collection[str]) -> str | None:
        """Reads one of a few texts; None if it is absent or wrong."""
        value = given.get(name)
        if value is None or value in choices:
            return value
        self.wrong(name, f"must be one of {', '.join(choices)}", value)
        return None


def nearest(name: str, known: Collection[str]) -> str:
    """`; did you mean …?` if a known name is similar, else an empty text."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
