"""Each block of YAML in the documents is YAML, and names the version that new manifests have: it is copied
as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lgs_crds.model.service import VERSIONS
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


NOTES = ROOT / "helm" / "lgs-operator" / "templates" / "NOTES.txt"
ABOUT_VERSIONS = ROOT / "docs" / "resource-versions.md"


@pytest.mark.parametrize("page", [*PAGES, NOTES], ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_copied_has_the_version_of_new_manifests(page: Path) -> None:
    old = [f"lgs.dev/{version}" for version in VERSIONS[1:]]

    assert old
    assert page == ABOUT_VERSIONS or not [each for each in old if each in page.read_text("utf-8")]
