"""The revision of the graphs that a replica runs: a short text that is the same in all replicas with the same
code, and changes as soon as the code or the installed packages change. Cached answers are keyed by it."""

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
"""Code, and the texts beside it: prompts, tables, configuration."""
NOT_ITS_OWN: Final = frozenset(("__pycache__", "node_modules"))
DIGITS: Final = 16


def revision_of(folders: Iterable[Path], variables: Mapping[str, str], said: str) -> str:
    """The revision of the code in these folders. It includes the installed packages, the variables that the
    configuration gives to the graphs, and `said`, what the deployer adds (`LGS_REVISION_DIGEST`)."""
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
    """The files of a folder in order, without hidden ones, caches and installed packages."""
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
        # A file that can't be read is not read by the graphs either.
        return b""


def _take(found: hashlib._Hash, part: bytes) -> None:
    found.update(len(part).to_bytes(8, "big") + part)
