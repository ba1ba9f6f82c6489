"""What the pages of docs show, as those who copy it would have it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
_YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def yaml_blocks(page: Path) -> list[str]:
    """The blocks of YAML of a page, in their order."""
    return _YAML.findall(page.read_text("utf-8"))


def shown(page: str, key: str, value: str | None = None) -> dict[str, Any]:
    """The one block of docs/`page` with `key` at its top, and with that value if one is given."""
    blocks = [yaml.safe_load(block) for block in yaml_blocks(ROOT / "docs" / page)]
    (found,) = (each for each in blocks if key in each and value in (None, each[key]))
    return dict(found)
