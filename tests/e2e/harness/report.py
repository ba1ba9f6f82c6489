"""The numbers of the story, in the order in which they came up: a table at the end, JSON for comparisons."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Number:
    """One line of the report. `limit` is what the story promises, in words."""

    chapter: str
    name: str
    value: float | int | str
    unit: str
    limit: str


@dataclass
class Report:
    """Collects numbers; printing and writing are pure readers of them."""

    chapter: str = ""
    numbers: list[Number] = field(default_factory=list)

    def add(self, name: str, value: float | int | str, unit: str = "", limit: str = "") -> None:
        """Remembers a number of the present chapter."""
        shown = round(value, 2) if isinstance(value, float) else value
        self.numbers.append(Number(self.chapter, name, shown, unit, limit))

    def table(self) -> str:
        """The report for people."""
        if not self.numbers:
            return ""
        names = max(len(number.name) for number in self.numbers)
        values = [f"{number.value} {number.unit}".strip() for number in self.numbers]
        width = max(map(len, values))
        lines, chapter = [], ""
        for number, value in zip(self.numbers, values, strict=True):
            if number.chapter != chapter:
                chapter = number.chapter
                lines.append(f"{chapter}")
            lines.append(f"  {number.name:<{names}}  {value:>{width}}  {number.limit}".rstrip())
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        """The report for programs."""
        path.write_text(json.dumps([vars(number) for number in self.numbers], indent=1) + "\n", "utf-8")
