"""What docs/circuit-breaker.md shows works as it stands, and its table has the defaults."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from lgs_runtime.breaker import CircuitBreaker

PAGE = (Path(__file__).parents[3] / "docs" / "circuit-breaker.md").read_text("utf-8")


async def test_the_example_of_the_docs_runs() -> None:
    example = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    names: dict[str, Any] = {"__name__": "example"}

    exec(example, names)

    assert await names["main"]() == ["HELLO", *["ConnectionError"] * 3, "CircuitOpen"]


def test_the_table_of_the_docs_has_every_argument_and_its_default() -> None:
    table = PAGE.split("| argument | means | default |")[1].split("\n\n")[0]
    shown = {
        name: row.rsplit("|", 2)[1].strip()
        for row in table.splitlines()
        for name in re.findall(r"`(\w+)`", row.split("|")[1] if "|" in row else "")
    }

    arguments = inspect.signature(CircuitBreaker).parameters

    assert shown.keys() == arguments.keys() - {"clock"}
    for name in ("failure_threshold", "minimum_calls", "window_seconds", "recovery_timeout", "probes"):
        assert float(shown[name]) == arguments[name].default
