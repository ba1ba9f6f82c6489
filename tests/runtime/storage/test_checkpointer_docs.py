"""What docs/checkpointer.md shows works as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[3] / "docs" / "checkpointer.md"


async def test_the_example_of_the_docs_runs(postgres_uri: str) -> None:
    example = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    names: dict[str, Any] = {"__name__": "example"}

    exec(example, names)

    assert await names["main"](postgres_uri) == {"text": "HELLO"}
