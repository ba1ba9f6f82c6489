"""Prometheus' own tool, as the judge of pages of metrics. `tools/setup/promtool.sh` fetches it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def program() -> Path | None:
    """promtool, or None."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    fetched = cache / "lgs-toolchain" / "bin" / "promtool"
    return fetched if fetched.exists() else None


def complaints(page: str) -> list[str]:
    """What is wrong with a page, or against the conventions of names and units, one a line."""
    tool = program()
    assert tool is not None
    done = subprocess.run([tool, "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]
