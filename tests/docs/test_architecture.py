"""docs/architecture.md speaks of the packages that there are, and of all of them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def named_of(distribution: str) -> set[str]:
    """The first column of the table about a distribution."""
    table = PAGE.split(f"| `{distribution}` | |\n|---|---|\n")[1].split("\n\n")[0]
    return {name for row in table.splitlines() for name in re.findall(r"`([^`]+)`", row.split("|")[1])}


def parts_of(package: Path) -> tuple[set[str], set[str]]:
    """The packages in a folder, as `name/`, and its modules."""
    folders = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    return folders, {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}


def test_every_package_and_module_of_the_runtime_has_its_line() -> None:
    packages, modules = parts_of(ROOT / "runtime" / "src" / "lgs_runtime")

    assert named_of("lgs_runtime") == packages | modules


def test_every_package_of_the_operator_has_its_line() -> None:
    packages, modules = parts_of(ROOT / "operator" / "src" / "lgs_operator")

    named = named_of("lgs_operator")

    assert packages <= named
    assert named <= packages | modules


def test_every_package_and_module_of_the_manifest_has_its_line() -> None:
    packages, modules = parts_of(ROOT / "crds" / "src" / "lgs_crds")

    assert named_of("lgs_crds") == packages | modules


def test_the_parts_of_the_api_are_those_that_there_are() -> None:
    packages, _ = parts_of(ROOT / "runtime" / "src" / "lgs_runtime" / "api")

    line = next(row for row in PAGE.splitlines() if row.startswith("| `api/` |"))

    assert packages == set(re.findall(r"`(\w+/)`", line.split("|")[2]))


def test_the_walks_lead_to_files_that_are_there() -> None:
    walks = PAGE.split("## Where to add what")[1].split("\n## ")[0]

    paths = re.findall(r"`((?:crds|operator|runtime|tests)/[^`]+)`", walks)

    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []
