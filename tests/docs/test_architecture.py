"""docs/architecture.md speaks of the packages that there are, and of all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def named_of(distribution: str) -> list[str]:
    """The first column of the table about a distribution."""
    table = PAGE.split(f"| `{distribution}` | |\n|---|---|\n")[1].split("\n\n")[0]
    return [name for row in table.splitlines() for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


@pytest.mark.parametrize(
    ("distribution", "folder"), [("lgs_runtime", "runtime"), ("lgs_operator", "operator")]
)
def test_every_package_has_its_line(distribution: str, folder: str) -> None:
    source = ROOT / folder / "src" / distribution
    packages = {f"{path.parent.name}/" for path in source.glob("*/__init__.py")}

    named = named_of(distribution)

    assert packages <= set(named)
    assert [
        name for name in named if not (source / name).is_dir() and not (source / f"{name}.py").is_file()
    ] == []


def test_the_parts_of_the_api_are_those_that_there_are() -> None:
    api = ROOT / "runtime" / "src" / "lgs_runtime" / "api"
    packages = {f"{path.parent.name}/" for path in api.glob("*/__init__.py")}

    line = next(row for row in PAGE.splitlines() if row.startswith("| `api/` |"))

    assert packages == set(re.findall(r"`(\w+/)`", line.split("|")[2]))
