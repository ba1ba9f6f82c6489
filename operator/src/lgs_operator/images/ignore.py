"""Decides which files never get into an image, and which the repository's `.dockerignore` leaves out. Pure.

The patterns are Docker's: relative to the folder of the file, `**` for any depth, `!` includes again, the
last match decides. What may hold a secret is left out whatever the file says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Final

SECRETS: Final = (
    "**/.env",
    "**/.env.*",
    "**/.envrc",
    "**/.netrc",
    "**/.pypirc",
    "**/.git",
    "**/.ssh",
    "**/.aws",
)
EXAMPLES: Final = ("**/.env.example", "**/.env.sample", "**/.env.template", "**/.env.dist")
"""Files with the names of variables but no values, which are no secrets."""
USELESS: Final = (
    "**/.venv", "**/venv", "**/__pycache__", "**/*.pyc", "**/node_modules", "**/.lgs", "**/.langgraph_api",
    "**/.mypy_cache", "**/.pytest_cache", "**/.ruff_cache", "**/.DS_Store", "**/*.egg-info", "**/.idea",
    "**/.vscode",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ignored:
    """What to leave out of a context. `patterns` can't include `secrets` again."""

    patterns: tuple[str, ...] = USELESS
    secrets: tuple[str, ...] = SECRETS

    def leaves_out(self, path: str) -> bool:
        """Whether a file is left out. `path` is relative to the root of the context, with slashes."""
        return self.is_secret(path) or _fits(path, self.patterns)

    def is_secret(self, path: str) -> bool:
        """Whether a file may hold a secret."""
        return _fits(path, self.secrets) and not _fits(path, EXAMPLES)

    def may_take_back(self) -> bool:
        """Whether a folder that is left out may still have files that are included again."""
        return any(pattern.startswith("!") for pattern in self.patterns)


def ignored(texts: Iterable[tuple[str, str]], env_files: Iterable[str]) -> Ignored:
    """The rules from the `.dockerignore` files, each given with its folder, and from the application's files
    of variables; all paths are relative to the root.
    """
    own = [pattern for folder, text in texts for pattern in _patterns(text, folder)]
    return Ignored((*USELESS, *own), (*SECRETS, *(_escaped(name) for name in env_files)))


def as_dockerignore(env_files: Sequence[str]) -> str:
    """The text of a `.dockerignore` for a repository that has none."""
    lines = [*SECRETS, *(f"!{pattern}" for pattern in EXAMPLES), *env_files, *USELESS]
    return (
        "# Made by `lgs dockerfile`: what may hold a secret, and what no image needs.\n"
        + "\n".join(lines)
        + "\n"
    )


def _patterns(text: str, folder: str) -> Iterable[str]:
    for line in text.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        taken_back = pattern.startswith("!")
        cleaned = str(PurePosixPath(pattern.removeprefix("!").strip().lstrip("/") or "."))
        inside = cleaned if folder in ("", ".") else f"{folder}/{cleaned}"
        yield f"!{inside}" if taken_back else inside


def _fits(path: str, patterns: Sequence[str]) -> bool:
    """Whether the path is left out, by the last pattern that matches it or a folder above it."""
    parts = path.split("/")
    places = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    for pattern in reversed(patterns):
        if any(_regex(pattern.removeprefix("!")).fullmatch(place) for place in places):
            return not pattern.startswith("!")
    return False


def _escaped(name: str) -> str:
    return re.sub(r"([*?\[\]\\])", r"\\\1", name)


@lru_cache(maxsize=1024)
def _regex(pattern: str) -> re.Pattern[str]:
    found, index = "", 0
    while index < len(pattern):
        character = pattern[index]
        if pattern.startswith("**/", index):
            found, index = found + "(?:.*/)?", index + 3
            continue
        if pattern.startswith("**", index):
            found, index = found + ".*", index + 2
            continue
        if character == "[" and (end := pattern.find("]", index + 2)) > 0:
            inner = pattern[index + 1 : end]
            found += f"[{'^' + inner[1:] if inner[0] in '!^' else inner}]"
            index = end
        elif character == "\\" and index + 1 < len(pattern):
            index += 1
            found += re.escape(pattern[index])
        else:
            found += {"*": "[^/]*", "?": "[^/]"}.get(character, re.escape(character))
        index += 1
    return re.compile(found, re.DOTALL)
