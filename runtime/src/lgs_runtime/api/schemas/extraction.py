"""The `extract` option of a search: single values from a thread's record, by paths such as
`values.messages[-1].content`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MOST_PATHS = 10
ROOTS = ("values", "metadata", "config", "interrupts", "error", "status")
_STEP = re.compile(r"(?:^|\.)([^.\[\]]+)|\[(-?\d+)\]")


def parse_path(path: str) -> tuple[str | int, ...]:
    """The keys and indexes of a path. Raises `ValueError` with the rule."""
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            raise ValueError("must be keys joined by dots, with indexes in brackets")
        steps.append(step[1] if step[2] is None else int(step[2]))
        at = step.end()
    if not steps or steps[0] not in ROOTS:
        raise ValueError(f"must start with one of {', '.join(ROOTS)}")
    return tuple(steps)


def extract(record: Mapping[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
    """The value at each path, by alias; None where there is none."""
    return {alias: _at(record, parse_path(path)) for alias, path in paths.items()}


def _at(value: Any, steps: tuple[str | int, ...]) -> Any:
    for step in steps:
        if isinstance(step, int):
            if not isinstance(value, list) or not -len(value) <= step < len(value):
                return None
            value = value[step]
        elif isinstance(value, Mapping) and step in value:
            value = value[step]
        else:
            return None
    return value
