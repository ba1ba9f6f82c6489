"""The errors of a manifest, in words that name the field, its value and the rule.

A `ManifestError` has every problem that was found, not only the first. A problem reads like
`spec.workers.queues.high: 0: must be at least 1`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final


class _Absent:
    """The value of an absent field, which is not null."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
_LONGEST_VALUE = 80


@dataclass(frozen=True)
class Problem:
    """One broken rule. `value` is `ABSENT` if the field is missing or its value says nothing."""

    path: str
    rule: str
    value: Any = ABSENT
    line: int | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        value = "" if self.value is ABSENT else f"{_shown(self.value)}: "
        # A lone surrogate, which YAML and JSON can express, can't be printed.
        return f"{where}{self.path}: {value}{self.rule}".encode(errors="backslashreplace").decode()


class ManifestError(ValueError):
    """A manifest that can't work. `problems` is never empty."""

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(f"{source}: {problem}" for problem in problems))


def _shown(value: Any) -> str:
    try:
        text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    except ValueError:
        # Python does not write a number of more than some thousand digits, however it was read.
        return "a number too long to be shown"
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
