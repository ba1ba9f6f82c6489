"""Which changes of files require new workers: those of the manifest, and of code in the source folder.
All of its code counts, as in LangGraph's development server: what a graph will import or read is not
known in advance."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from watchfiles import Change, DefaultFilter, awatch

CODE = (".py", ".json", ".toml", ".yaml", ".yml", ".env", ".txt", ".md")


class CodeFilter(DefaultFilter):
    """Accepts code and configuration in the source folder, and the manifest; nothing that a run writes
    (`.lgs`, databases, logs)."""

    ignore_dirs = (*DefaultFilter.ignore_dirs, ".lgs")

    def __init__(self, manifest: Path, source: Path) -> None:
        super().__init__()
        self._manifest = str(manifest)
        self._source = f"{source}{os.sep}"

    def __call__(self, change: Change, path: str) -> bool:
        is_code = path.startswith(self._source) and path.endswith(CODE)
        return path == self._manifest or (is_code and super().__call__(change, path))


async def changes(manifest: Path, source: Path, stop: asyncio.Event) -> AsyncIterator[list[str]]:
    """Yields the names of the files that changed together, until `stop` is set. Both paths are absolute."""
    folders = {manifest.parent, source}
    watch = awatch(
        *folders, watch_filter=CodeFilter(manifest, source), stop_event=stop, debounce=400, step=100
    )
    async for changed in watch:
        yield sorted({Path(path).name for _, path in changed})
