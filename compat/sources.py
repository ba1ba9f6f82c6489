"""Where an application's sources come from: a folder of checkouts (`COMPAT_SOURCES`), else a clone by git.

What can't be fetched is returned as a reason, not raised: a machine without access to it still compares the
others.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from compat.applications import Application

IGNORED = shutil.ignore_patterns(".git", "node_modules", "__pycache__", ".langgraph_api", ".lgs")


@dataclass(frozen=True)
class Missing:
    """Sources that can't be had, and why."""

    reason: str


def source(application: Application, sources: Path | None, cache: Path) -> Path | Missing:
    """The folder of the whole repository."""
    name = application.repository.split("/")[1]
    for found in [sources / name, sources / application.name] if sources else []:
        if (found / application.folder / application.config).exists():
            return found
    clone = cache / "clones" / application.repository.replace("/", "+")
    if not (clone / ".git").exists():
        clone.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(clone, ignore_errors=True)
        cloned = _git("clone", "--quiet", "--filter=blob:none", application.address, str(clone))
        if cloned:
            return Missing(f"git clone {application.address}: {cloned}")
    failed = _git("-C", str(clone), "checkout", "--quiet", application.revision)
    return Missing(f"{application.repository}@{application.revision}: {failed}") if failed else clone


def fresh_copy(repository: Path, target: Path) -> Path:
    """A copy that a server may write into (its database, files that its installer makes)."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(repository, target, ignore=IGNORED, symlinks=True)
    return target


def _git(*words: str) -> str:
    """The last line of git's complaint; empty when it worked."""
    done = subprocess.run(
        ["git", *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={"GIT_TERMINAL_PROMPT": "0", "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(Path.home())},
    )
    lines = (done.stderr or f"git ended with {done.returncode}").strip().splitlines()
    return lines[-1] if done.returncode else ""
