"""Each point of the page on capabilities is shown by a test that there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "capabilities.md").read_text("utf-8")
LEVELS = ("Basic install", "Seamless upgrades", "Full lifecycle", "Deep insights", "Auto pilot")
SHOWN = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def levels() -> dict[str, str]:
    parts = re.split(r"^## \d\. (.+)$", PAGE, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def points(level: str) -> list[str]:
    rows = [line for line in level.splitlines() if line.startswith("|")]
    return rows[2:]


def names_in(path: Path) -> set[str]:
    module = ast.parse(path.read_text("utf-8"))
    functions = (
        each for each in ast.walk(module) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return {each.name for each in functions if each.name.startswith("test_")}


def test_every_level_has_its_points_and_says_what_is_not_met() -> None:
    assert tuple(levels()) == LEVELS
    for level in levels().values():
        assert len(points(level)) >= 5
        assert "Not met: " in level


def test_every_point_is_shown_by_a_test_that_there_is() -> None:
    for point in (each for level in levels().values() for each in points(level)):
        shown = SHOWN.search(point.split("|")[3])
        assert shown is not None, point
        path = ROOT / shown[1]
        assert path.exists(), shown[1]
        assert shown[2] is None or shown[2] in names_in(path), shown[0]
