"""docs/errors.md: every reason of a condition or an Event stands there, with what to do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from lgs_crds.reasons import Reason
from lgs_crds.status import ConditionType

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "errors.md").read_text("utf-8")
CONDITIONS = set(get_args(ConditionType))


def words_of(union: Any) -> set[str]:
    """All texts of a union of literals."""
    return {
        word for part in get_args(union) for word in ([part] if isinstance(part, str) else words_of(part))
    }


def tables() -> Iterator[tuple[list[str], list[list[str]]]]:
    """Of each section with reasons the heads of its columns, and its rows."""
    for section in PAGE.split("\n## ")[1:]:
        lines = [line for line in section.splitlines() if line.startswith("| ")]
        cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
        yield cells[0], cells[1:]


def test_every_reason_there_is_has_its_line_and_no_other() -> None:
    told = [reason for _, rows in tables() for row in rows for reason in re.findall(r"`(\w+)`", row[0])]

    assert sorted(told) == sorted(words_of(Reason))


def test_each_reason_says_in_which_conditions_it_is() -> None:
    told = [rows for heads, rows in tables() if heads[1] == "in"]

    places = {place for rows in told for row in rows if row[1] != "as above" for place in row[1].split(", ")}

    assert len(places) > 5
    assert places <= CONDITIONS, places - CONDITIONS


def test_every_reason_of_the_list_is_given_by_the_operator() -> None:
    """A word that nothing says any more is taken from the list, and so from the page."""
    code = [*(ROOT / "operator" / "src" / "lgs_operator").rglob("*.py")]
    texts = {
        node.value
        for path in code
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    kubernetes = words_of(Reason) - texts

    assert kubernetes <= {
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "FailedAttachVolume",
        "FailedCreatePodSandBox",
        "FailedMapVolume",
        "FailedMount",
        "PostStartHookError",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RegistryUnavailable",
        "RunContainerError",
        "SchedulingGated",
    }, "these are said in the kubelet's and the scheduler's words"
