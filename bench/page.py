"""Puts what was measured into a page, between two marks, and leaves the rest as it is."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"


def put(name: str, text: str, page: Path = PAGE) -> None:
    """Replaces what stands between the marks of `name`. Raises `ValueError` when the page has none."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = page.read_text("utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page.name}: {begin}: must be there, with its end")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", "utf-8")
