"""Which revision of its graphs a replica runs: one short text, the same in all replicas that run the same
code, another as soon as the code changes, or what it is installed with. Answers are cached by it.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

CODE: Final = (".py", ".sql")
SETTINGS: Final = (".json", ".yaml", ".yml", ".toml", ".cfg", ".ini")
TEXTS: Final = (".txt", ".md", ".csv", ".xml", ".html", ".jinja", ".jinja2", ".j2", ".tmpl", ".prompt")
SUFFIXES: Final = frozenset((*CODE, *SETTINGS, *TEXTS))
"""Code, and the texts that stand beside it: prompts, tables, configuration."""
NOT_ITS_OWN: Final = frozenset(("__pycache__", "node_modules"))
DIGITS: Final = 16


def revision_of(folders: Iterable[Path], variables: Mapping[str, str], said: str) -> str:
    """The revision of the code in these folders, with the packages that are installed, the variables that the
    configuration gives to the graphs, and what who deploys it says beside (`LGS_REVISION_DIGEST`)."""
    found = hashlib.sha256()
    for text in (
        platform.python_version(),
        said,
        *(f"{name}={value}" for name, value in sorted(variables.items())),
        *sorted({f"{each.name}=={each.version}" for each in distributions()}),
    ):
        _take(found, text.encode())
    for root in sorted(set(folders)):
        for path in _files(root):
            _take(found, path.relative_to(root).as_posix().encode("utf-8", "surrogateescape"))
            _take(found, _content(path))
    return found.hexdigest()[:DIGITS]


def _files(root: Path) -> Iterator[Path]:
    """The files of a folder in order, without what is hidden, or another's."""
    for folder, inside, names in os.walk(root):
        inside[:] = sorted(
            name
            for name in inside
            if not name.startswith(".")
            and name not in NOT_ITS_OWN
            and not (Path(folder) / name / "pyvenv.cfg").is_file()
        )
        yield from (
            Path(folder) / name
            for name in sorted(names)
            if not name.startswith(".") and Path(name).suffix in SUFFIXES
        )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        # One that can't be read is none that the graphs read.
        return b""


def _take(found: hashlib._Hash, part: bytes) -> None:
    found.update(len(part).to_bytes(8, "big") + part)
