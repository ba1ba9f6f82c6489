"""What can be found out about a repository without asking: a name for its service, and its root."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from lgs_crds.texts import LONGEST_SERVICE_NAME

EXAMPLES: Final = (".env.example", ".env.sample", ".env.template", ".env.dist", "env.example")
"""Names of example files, committed in place of the files of variables themselves."""
_FALLBACK: Final = "agent"


def pyproject_of(folder: Path) -> Mapping[str, Any]:
    """The content of the folder's `pyproject.toml`; empty if there is none that can be read."""
    try:
        return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}


def name_of(folder: Path) -> tuple[str, str]:
    """The name for a service, and where it is from, in words."""
    content = pyproject_of(folder)
    for table in (content.get("project"), content.get("tool", {}).get("poetry")):
        named = table.get("name") if isinstance(table, dict) else None
        if isinstance(named, str) and (slug := as_service_name(named)):
            return slug, "the name in pyproject.toml"
    slug = as_service_name(folder.resolve().name)
    return (
        (slug, "the name of the folder")
        if slug
        else (_FALLBACK, "neither folder nor pyproject.toml has a name")
    )


def as_service_name(text: str) -> str:
    """The text as a valid name of a Kubernetes object; empty if nothing of it is left."""
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    slug = re.sub(r"^[^a-z]+", "", slug)
    return slug[:LONGEST_SERVICE_NAME].rstrip("-")


def upwards(folder: Path) -> Iterator[Path]:
    """The folder and its parents up to the root of its repository; only itself if it is in none."""
    above = [folder, *folder.parents]
    for index, place in enumerate(above):
        if (place / ".git").exists():
            yield from above[: index + 1]
            return
    yield folder
