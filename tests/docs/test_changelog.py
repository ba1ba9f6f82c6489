"""CHANGELOG.md has the form of Keep a Changelog 1.1.0: what was mended stands apart from what is new."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "CHANGELOG.md").read_text("utf-8")
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
VERSIONS = re.split(r"^## ", PAGE, flags=re.M)[1:]


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.splitlines()[0])
def test_a_version_has_each_kind_of_change_once_in_the_usual_order_and_none_without_an_entry(
    version: str,
) -> None:
    parts = re.split(r"^### ", version, flags=re.M)[1:]

    kinds = [part.splitlines()[0] for part in parts]

    assert kinds == [kind for kind in KINDS if kind in kinds]
    assert [part.splitlines()[0] for part in parts if "\n- " not in part] == []


def test_what_was_mended_stands_apart_from_what_is_new() -> None:
    assert {"Added", "Fixed"} <= set(re.findall(r"^### (\w+)$", PAGE, flags=re.M))
