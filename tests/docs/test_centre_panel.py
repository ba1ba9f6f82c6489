"""The panel that the README and docs/capacity.md show has the form that `make centre` prints, and its targets
were held."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bench.centre.account import Account
from bench.centre.panel import NOTHING, panel, short
from bench.centre.phases import phases

ROOT = Path(__file__).parents[2]
EMPTY = Account(1, 0, 1.0, phases(1.0), [], [], cores=2, hits=0, misses=0, interrupted=[], happenings=[])


def shown(page: str, name: str = "centre") -> str:
    """What the command has written into a page."""
    text = (ROOT / page).read_text("utf-8")
    return text.split(f"<!-- {name}: begin -->")[1].split(f"<!-- {name}: end -->")[0].strip()


def rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()]


@pytest.mark.parametrize(
    ("page", "printed"), [("README.md", short(EMPTY)), ("docs/capacity.md", panel(EMPTY))]
)
def test_the_panel_that_a_page_shows_is_one_that_the_command_has_printed(page: str, printed: str) -> None:
    of_page, of_command = (rows(text.split("\n\n")[0]) for text in (shown(page), printed))

    names = [row[0] for row in of_command]
    targets = [row[2] for row in of_command]
    assert [row[0] for row in of_page] == names
    assert [row[2] for row in of_page] == targets


@pytest.mark.parametrize("page", ["README.md", "docs/capacity.md"])
def test_a_page_shows_numbers_that_were_measured_and_targets_that_were_held(page: str) -> None:
    text = shown(page)

    held = [row[3] for row in rows(text.split("\n\n")[0])[2:] if row[2]]
    assert held == ["yes"] * 5
    assert NOTHING not in text
    assert re.search(r"^\| \d+ s \| recovered \d+ session", text, re.MULTILINE)


@pytest.mark.parametrize("name", ["costs", "check", "need"])
def test_the_tables_of_capacity_are_there(name: str) -> None:
    table = [row for row in rows(shown("docs/capacity.md", name)) if len(row) > 1]

    assert len(table) > 3
    assert len({len(row) for row in table}) == 1
