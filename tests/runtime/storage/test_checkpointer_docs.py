"""What docs/checkpointer.md shows works as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver

from lgs_runtime import checkpoint

PAGE = Path(__file__).parents[3] / "docs" / "checkpointer.md"


async def test_the_example_of_the_docs_runs(postgres_uri: str) -> None:
    example = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    names: dict[str, Any] = {"__name__": "example"}

    exec(example, names)

    assert await names["main"](postgres_uri) == {"text": "HELLO"}


@pytest.mark.parametrize("name", ["FastPostgresSaver", "FastSqliteSaver"])
def test_the_savers_have_the_names_that_programs_import_them_by(name: str) -> None:
    assert name in PAGE.read_text() and name in checkpoint.__all__
    assert issubclass(getattr(checkpoint, name), BaseCheckpointSaver)


def test_a_name_that_is_none_of_the_savers_is_missed_by_its_name() -> None:
    with pytest.raises(AttributeError, match=r"lgs_runtime\.checkpoint.*SlowSaver"):
        checkpoint.SlowSaver  # noqa: B018 - asking for it is what fails
