"""Each block of YAML in the documents is YAML: it is copied as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from support.documents import yaml_blocks

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").glob("*/*.md")),
]
BLOCKS = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, block in enumerate(yaml_blocks(page))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_yaml_can_be_read(block: str) -> None:
    assert any(yaml.safe_load_all(block))
