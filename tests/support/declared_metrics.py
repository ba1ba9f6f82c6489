"""The metrics that the code declares, read from its source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
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


def shown(name: str) -> tuple[str, ...]:
    """The names of its series at `/metrics`."""
    kind = METRICS[name][0]
    if kind.startswith("Counter"):
        return (f"{name}_total",)
    return (f"{name}_bucket", f"{name}_sum", f"{name}_count") if kind.startswith("Hist") else (name,)
