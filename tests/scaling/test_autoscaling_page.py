"""docs/autoscaling.md is what `make simulate` writes, of every load and law, and its options are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bench import autoscaling
from bench.autoscaling import (
    DRAWN,
    FRONTS,
    POLICY,
    USUAL,
    ahead,
    front_row,
    holds_row,
    lost_in_words,
    overshoots_row,
    row,
)
from bench.page import put
from typer.testing import CliRunner

from lgs_operator.cli import app
from lgs_operator.simulate.candidates import OURS, compared, ours
from lgs_operator.simulate.comparison import Outcome, Players, compare, play
from lgs_operator.simulate.front import front
from lgs_operator.simulate.loads import Named, named
from lgs_operator.simulate.record import Timeline
from lgs_operator.simulate.report import cells

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "autoscaling.md").read_text("utf-8")
TABLED = (Named.SPIKE, Named.STEADY)
LAWS = [each.name for each in compared(POLICY)]


def between(name: str) -> str:
    return PAGE.partition(f"<!-- {name}: begin -->")[2].partition(f"<!-- {name}: end -->")[0]


def outcome(law: str, late: float, hours: float) -> Outcome:
    waits = tuple(sorted([0.0] * round(1000 * (1 - late)) + [9.0] * round(1000 * late)))
    return Outcome(law, 1.0, waits, waits, Timeline(), 3600 * hours)


@pytest.mark.parametrize("name", TABLED)
def test_the_table_of_the_page_is_what_the_law_does_today(name: Named) -> None:
    rows = [line for line in between("comparison").splitlines() if line.startswith(f"| {name} |")]

    played = compare(compared(POLICY), named(name, POLICY), USUAL)

    assert rows == [row(name, each.law, *cells(each)) for each in played]


@pytest.mark.parametrize("name", [each for each in Named if each not in (*TABLED, Named.DIURNAL)])
def test_our_laws_row_of_the_page_is_what_it_does_today(name: Named) -> None:
    rows = [line for line in between("comparison").splitlines() if line.startswith(f"| {name} | {OURS} |")]

    played = play(ours(POLICY), named(name, POLICY), USUAL)

    assert rows == [row(name, OURS, *cells(played))]


def test_every_load_has_its_rows_and_every_front_its_sentence() -> None:
    for name in (*Named, "conversations"):
        assert [line for line in between("comparison").splitlines() if line.startswith(f"| {name} | {OURS} ")]
    for name in FRONTS:
        assert f"| {name} |" in between("fronts")
        assert f"- **{name}**: " in between("fronts")
    assert all(len(between(name)) > 100 for name in ("waits", "latencies", "faults", "advice", "holds"))


def test_the_price_of_each_hold_and_overshoot_is_what_it_is_today() -> None:
    with Players(named(Named.SPIKE, POLICY), USUAL, 1) as players:
        today = holds_row(Named.SPIKE, players), overshoots_row(Named.SPIKE, players)

    assert today[0] in between("holds").splitlines()
    assert today[1] in between("overshoots").splitlines()
    assert all(f"| {name} |" in between(table) for name in FRONTS for table in ("holds", "overshoots"))


def test_every_picture_of_the_page_is_there_and_drawn() -> None:
    pictures = re.findall(r"\]\((autoscaling[\w-]*\.svg)\)", PAGE)

    assert len(pictures) == 2 * len(DRAWN)
    for each in pictures:
        assert (ROOT / "docs" / each).read_text("utf-8").startswith("<svg")


def test_every_option_that_the_page_shows_is_one_of_the_command() -> None:
    told = CliRunner().invoke(app, ["simulate", "--help"], env={"COLUMNS": "250"}).stdout

    shown = set(re.findall(r"--[a-z][a-z-]+", PAGE)) - {"--"}

    assert shown
    assert {each for each in shown if each not in told} == set()


def test_a_law_that_is_ahead_of_ours_is_told() -> None:
    ours = outcome(OURS, 0.10, 10.0)
    cheaper, later, dearer = outcome("HPA", 0.10, 8.0), outcome("KEDA", 0.15, 9.0), outcome("KPA", 0.05, 12.0)

    assert ahead([ours, cheaper, later, dearer]) == [cheaper]
    assert lost_in_words("x", [ours, cheaper]) == "- **x**: ours 10.00 % at 10.00 h; HPA 10.00 % at 8.00 h"
    assert lost_in_words("x", [ours, later, dearer]) is None
    assert front_row("x", front([ours, cheaper, dearer])) == "| x | 0 of 1 | 1 of 1 | 1 of 1 |"


def test_a_page_without_its_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- known: begin -->\n<!-- known: end -->\nthe rest\n")

    put("known", "| a |", page)

    assert page.read_text() == "<!-- known: begin -->\n| a |\n<!-- known: end -->\nthe rest\n"
    with pytest.raises(ValueError, match=r"page\.md: <!-- other: begin -->: must be there"):
        put("other", "", page)


def test_what_writes_the_page_begins_each_table_with_its_head(monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, str] = {}
    monkeypatch.setattr(autoscaling, "loads", lambda: iter(()))
    for name in ("waits_table", "latencies_table", "faults"):
        monkeypatch.setattr(autoscaling, name, lambda *_: "")
    monkeypatch.setattr(autoscaling, "put", lambda name, text, _page: written.update({name: text}))

    assert autoscaling.main() == 0

    for name in ("comparison", "holds", "overshoots"):
        assert written[name] and between(name).strip().startswith(written[name])
