"""Every metric says what it counts, at `/metrics` and in the documents."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = "\n".join(page.read_text("utf-8") for page in sorted((ROOT / "docs").glob("*.md")))
KINDS = re.compile("(Counter|Gauge|Histogram)(MetricFamily)?")


def declared() -> Iterator[tuple[str, str, str]]:
    """The kind, the name and the help of each metric that the code declares."""
    for of in ("operator/src/lgs_operator", "runtime/src/lgs_runtime"):
        for path in sorted((ROOT / of).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and KINDS.fullmatch(getattr(node.func, "id", "")):
                    texts = [each.value for each in node.args[:2] if isinstance(each, ast.Constant)]
                    if str(*texts[:1]).startswith("lgs_"):
                        yield node.func.id, str(texts[0]), str(texts[-1])  # type: ignore[attr-defined]


METRICS = {name: (kind, text) for kind, name, text in declared()}


def test_the_metrics_were_found() -> None:
    assert len(METRICS) > 50


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_says_what_it_counts_and_has_its_line_in_the_documents(name: str) -> None:
    kind, text = METRICS[name]
    shown = f"{name}_total" if kind.startswith("Counter") else name

    assert re.fullmatch(r"[A-Z0-9].{8,}\.", text), "a sentence for who reads /metrics"
    assert re.search(rf"`{shown}[`{{]", PAGES), "what it means stands in docs/"
