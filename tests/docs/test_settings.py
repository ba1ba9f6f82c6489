"""docs/architecture.md: every variable that a process of ours reads, with the default that holds."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lgs_operator import dashboard_process
from lgs_operator.settings import from_environment
from lgs_runtime.settings_loader import load_settings

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
OF_RUNTIME = PAGE.split("## What the operator (or `lgs up`) gives the runtime\n")[1].split("\n## ")[0]
OF_OPERATOR = PAGE.split("## What the chart gives the operator\n")[1].split("\n## ")[0]
OF_PAGE = PAGE.split("## What the chart gives the page\n")[1].split("\n## ")[0]
NAME = r"(?:LGS|POD)_[A-Z_]+"
WHERE = "each variable has a row in the tables of docs/architecture.md, with its default in the last column"
GRAPHS = {"LANGSERVE_GRAPHS": '{"agent": "./graph.py:graph"}', "LGS_REPLICA_ID": "one"}


def rows(section: str) -> Iterator[list[str]]:
    """The cells of each row about variables."""
    for line in section.splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def told(section: str) -> set[str]:
    return {name for row in rows(section) for name in re.findall(f"`({NAME})`", row[0])}


def read(*modules: Path) -> set[str]:
    """The names of variables that stand in the code."""
    return {
        node.value
        for path in modules
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(NAME, node.value)
    }


def defaults(section: str) -> dict[str, str]:
    """What the last column says, where that is a number or a word that could be given."""
    found = {}
    for row in rows(section):
        names = re.findall(f"`({NAME})`", row[0])
        values = [value.strip("` ") for value in row[-1].strip("| ").split(", ")]
        if len(names) == len(values):
            found |= {
                name: value
                for name, value, cell in zip(names, values, row[-1].strip("| ").split(", "), strict=True)
                if re.fullmatch(r"[\d.]+", value) or re.fullmatch(r"`[a-z.-]+`", cell)
            }
    return found


def test_every_variable_that_the_runtime_reads_has_its_row_and_no_other() -> None:
    modules = (ROOT / "runtime" / "src" / "lgs_runtime").rglob("*.py")

    assert told(OF_RUNTIME) == read(*modules), WHERE


def test_every_variable_that_the_operator_reads_has_its_row_and_no_other() -> None:
    assert told(OF_OPERATOR) == read(ROOT / "operator" / "src" / "lgs_operator" / "settings.py"), WHERE


def test_the_chart_sets_every_variable_of_the_operator_and_no_other() -> None:
    template = (ROOT / "helm" / "lgs-operator" / "templates" / "deployment.yaml").read_text("utf-8")

    assert set(re.findall(rf"- name: ({NAME})\n", template)) == told(OF_OPERATOR), (
        "helm/lgs-operator/templates/deployment.yaml sets each"
    )


def test_every_variable_that_the_page_reads_has_its_row_and_is_set_by_the_chart() -> None:
    template = (ROOT / "helm" / "lgs-operator" / "templates" / "page" / "deployment.yaml").read_text("utf-8")

    assert told(OF_PAGE) == read(ROOT / "operator" / "src" / "lgs_operator" / "dashboard_process.py"), WHERE
    assert set(re.findall(rf"- name: ({NAME})\n", template)) == told(OF_PAGE)


@pytest.mark.parametrize(("name", "value"), defaults(OF_PAGE).items())
def test_a_default_of_the_page_is_what_holds_without_the_variable(name: str, value: str) -> None:
    assert dashboard_process.from_environment({name: value}) == dashboard_process.from_environment({})


@pytest.mark.parametrize(("name", "value"), defaults(OF_RUNTIME).items())
def test_a_default_of_the_runtime_is_what_holds_without_the_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    assert load_settings({**GRAPHS, name: value}) == load_settings(GRAPHS)


@pytest.mark.parametrize(("name", "value"), defaults(OF_OPERATOR).items())
def test_a_default_of_the_operator_is_what_holds_without_the_variable(name: str, value: str) -> None:
    assert from_environment({name: value}) == from_environment({})


def test_the_defaults_that_are_numbers_and_words_were_found() -> None:
    assert len(defaults(OF_RUNTIME)) > 20
    assert len(defaults(OF_OPERATOR)) > 8
