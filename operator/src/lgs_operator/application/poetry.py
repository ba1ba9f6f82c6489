"""Translates requirements in Poetry's notation, for projects that name no build system that would read them:
pip would use setuptools, which does not. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def requirements(dependencies: Mapping[str, Any]) -> tuple[str, ...]:
    """The requirements in pip's notation, without `python` and those that are optional or given by a path."""
    made = (_requirement(name, value) for name, value in dependencies.items() if name.lower() != "python")
    return tuple(text for text in made if text is not None)


def versions(text: str) -> str:
    """A version constraint in pip's notation: `^1.2` and `~1.2` become bounds, `*` becomes empty."""
    return ",".join(bound for part in text.split(",") if (bound := _bounds(part.strip())))


def _requirement(name: str, value: Any) -> str | None:
    if isinstance(value, str):
        return name + versions(value)
    if not isinstance(value, dict) or value.get("optional") or "path" in value:
        return None
    extras = f"[{','.join(value['extras'])}]" if value.get("extras") else ""
    marker = f" ; {value['markers']}" if value.get("markers") else ""
    if "git" in value:
        at = next((f"@{value[key]}" for key in ("rev", "tag", "branch") if value.get(key)), "")
        return f"{name}{extras} @ git+{value['git']}{at}{marker}"
    return f"{name}{extras}{versions(str(value.get('version', '*')))}{marker}"


def _bounds(part: str) -> str:
    if part in ("", "*"):
        return ""
    if part[0] not in "^~" or part.startswith("~="):
        return part if part[0] in "<>=!~" else f"=={part}"
    given = part[1:].strip()
    numbers = [int(number) for number in given.split(".") if number.isdigit()]
    if not numbers:
        return f">={given}"
    place = _changing(numbers) if part[0] == "^" else min(1, len(numbers) - 1)
    upper = [*numbers[:place], numbers[place] + 1]
    return f">={given},<{'.'.join(map(str, upper))}"


def _changing(numbers: list[int]) -> int:
    """The index of the number that a caret raises for the upper bound: the first that is not
    0, else the last."""
    return next((index for index, number in enumerate(numbers) if number), len(numbers) - 1)
