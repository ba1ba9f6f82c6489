"""docs/architecture.md speaks of the packages that there are, and of all of them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
LINE = (
    "each package and module has its line in a table of docs/architecture.md, in the order of pyproject.toml"
)


def column_of(distribution: str) -> list[str]:
    """The first column of the table about a distribution."""
    table = PAGE.split(f"| `{distribution}` | |\n|---|---|\n")[1].split("\n\n")[0]
    return [name for row in table.splitlines() for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


def named_of(distribution: str) -> set[str]:
    return set(column_of(distribution))


def floors_of(distribution: str) -> dict[str, int]:
    """How far down each package and module of a distribution stands by the import rules."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    [layers] = [each["layers"] for each in contracts if each.get("containers") == [distribution]]
    return {name.strip(): floor for floor, layer in enumerate(layers) for name in re.split("[|:]", layer)}


def parts_of(package: Path) -> tuple[set[str], set[str]]:
    """The packages in a folder, as `name/`, and its modules."""
    folders = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    return folders, {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}


def test_every_package_and_module_of_the_runtime_has_its_line() -> None:
    packages, modules = parts_of(ROOT / "runtime" / "src" / "lgs_runtime")

    assert named_of("lgs_runtime") == packages | modules, LINE


def test_every_package_and_module_of_the_operator_has_its_line() -> None:
    packages, modules = parts_of(ROOT / "operator" / "src" / "lgs_operator")

    assert named_of("lgs_operator") == packages | modules, LINE


def test_every_package_and_module_of_the_manifest_has_its_line() -> None:
    packages, modules = parts_of(ROOT / "crds" / "src" / "lgs_crds")

    assert named_of("lgs_crds") == packages | modules, LINE


@pytest.mark.parametrize("distribution", ["lgs_crds", "lgs_operator", "lgs_runtime"])
def test_a_table_stands_in_the_order_of_the_import_rules(distribution: str) -> None:
    floors = floors_of(distribution)

    order = [floors[name.rstrip("/")] for name in column_of(distribution)]

    assert order == sorted(order)


def test_the_parts_of_the_api_are_those_that_there_are() -> None:
    packages, _ = parts_of(ROOT / "runtime" / "src" / "lgs_runtime" / "api")

    line = next(row for row in PAGE.splitlines() if row.startswith("| `api/` |"))

    assert packages == set(re.findall(r"`(\w+/)`", line.split("|")[2]))


def test_the_walks_lead_to_files_that_are_there() -> None:
    walks = PAGE.split("## Where to add what")[1].split("\n## ")[0]

    paths = re.findall(r"`((?:crds|docs|helm|operator|runtime|tests)/[^`]+)`", walks)

    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_glossary_leads_to_files_that_are_there() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text("utf-8")

    paths = re.findall(r"`([a-z0-9_/]+\.py)`", glossary)

    assert len(paths) > 5
    assert [path for path in paths if not list((ROOT / "runtime" / "src" / "lgs_runtime").glob(path))] == []


def test_the_ways_through_the_operator_lead_to_files_that_are_there() -> None:
    ways = PAGE.split("## Manifest to cluster")[1].split("\n## What stands where")[0]

    paths = re.findall(r"`([a-z_/]+(?:\.py|/))`", ways)

    assert len(paths) > 5
    assert [path for path in paths if not (ROOT / "operator" / "src" / "lgs_operator" / path).exists()] == []
