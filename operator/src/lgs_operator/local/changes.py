"""Which changes of files ask for new workers: the manifest, and the source folder's code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from watchfiles import Change, DefaultFilter, awatch

CODE = (".py", ".json", ".toml", ".yaml", ".yml", ".env", ".txt", ".md")


class CodeFilter(DefaultFilter):
    """Code and configuration, and the manifest; nothing that a run writes (`.lgs`, databases, logs)."""

    ignore_dirs = (*DefaultFilter.ignore_dirs, ".lgs")

    def __init__(self, manifest: Path) -> None:
        super().__init__()
        self._manifest = str(manifest)

    def __call__(self, change: Change, path: str) -> bool:
        return path == self._manifest or (path.endswith(CODE) and super().__call__(change, path))


async def changes(manifest: Path, source: Path, stop: asyncio.Event) -> AsyncIterator[list[str]]:
    """Yields the names of the files that changed together, until `stop` is set. Both paths are absolute."""
    folders = {manifest.parent, source}
    watch = awatch(*folders, watch_filter=CodeFilter(manifest), stop_event=stop, debounce=400, step=100)
    async for changed in watch:
        yield sorted({Path(path).name for _, path in changed})
