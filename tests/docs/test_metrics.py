"""Every metric says what it counts, at `/metrics` and in the documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lgs_runtime.cache.exposition import RESULTS
from support.declared_metrics import METRICS

ROOT = Path(__file__).resolve().parents[2]
PAGES = "\n".join(page.read_text("utf-8") for page in sorted((ROOT / "docs").glob("*.md")))


def test_the_metrics_were_found() -> None:
    assert len(METRICS) > 50


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_says_what_it_counts_and_has_its_line_in_the_documents(name: str) -> None:
    kind, text = METRICS[name]
    shown = f"{name}_total" if kind.startswith("Counter") else name

    assert re.fullmatch(r"[A-Z0-9].{8,}\.", text), "a sentence for who reads /metrics"
    assert re.search(rf"`{shown}[`{{]", PAGES), "what it means stands in docs/"


@pytest.mark.parametrize("result", RESULTS)
def test_a_result_of_the_cache_stands_with_its_metric(result: str) -> None:
    page = (ROOT / "docs" / "cache.md").read_text("utf-8")
    (row,) = [
        line for line in page.splitlines() if line.startswith("|") and "lgs_cache_operations_total" in line
    ]

    assert f"`{result}`" in row.partition("`result` is")[2]
