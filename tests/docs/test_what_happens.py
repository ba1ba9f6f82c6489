"""docs/data.md: each row of its tables about what happens names the test that shows it, and there is one."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "data.md").read_text("utf-8")
NAMED = set(re.findall(r"`(test_\w+)`", PAGE))


def test_every_test_that_the_page_names_is_there() -> None:
    texts = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")]

    there = {name for text in texts for name in re.findall(r"^(?:async )?def (test_\w+)", text, re.MULTILINE)}

    assert len(NAMED) > 10
    assert NAMED - there == set()


def test_every_row_about_what_happens_has_a_test_or_is_kubernetes_own() -> None:
    tables = [part.split("\n\n")[0] for part in re.split(r"\n\n(?=\| .*\| test \|\n)", PAGE)[1:]]
    rows = [row for table in tables for row in table.splitlines()[2:]]

    assert len(rows) > 10
    assert [row for row in rows if not re.search(r"`test_\w+`|Kubernetes does it", row)] == []
