"""Copies the files of a build to a separate folder, so that no builder sees what must not get into an
image, whether or not it reads a `.dockerignore`. The copies are readable by everybody, since the image
runs as another user.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from lgs_operator.images.ignore import Ignored, ignored
from lgs_operator.images.plan import Plan


def ignored_by(plan: Plan) -> Ignored:
    """The rules for what is left out of a plan's context."""
    texts = []
    for folder in dict.fromkeys((plan.root, plan.application.folder)):
        file = folder / ".dockerignore"
        if file.is_file():
            texts.append((plan.relative(folder), file.read_text("utf-8", errors="replace")))
    return ignored(texts, env_files(plan))


def env_files(plan: Plan) -> tuple[str, ...]:
    """The application's file of variables, by its name in the context; empty if it is outside."""
    file = plan.application.env_file
    return (plan.relative(file),) if file is not None and file.is_relative_to(plan.root) else ()


def stage(plan: Plan, target: Path) -> list[str]:
    """Copies the context, and returns the names of files left out because they may hold secrets."""
    rules = ignored_by(plan)
    secrets = []
    for file in _files(plan, rules):
        name = plan.relative(file)
        if rules.is_secret(name):
            secrets.append(name)
        elif not rules.leaves_out(name):
            _copy(file, target / name)
    for file in _named(plan):
        if not rules.is_secret(plan.relative(file)):
            _copy(file, target / plan.relative(file))
    return secrets


def _named(plan: Plan) -> Iterator[Path]:
    """The files that the Dockerfile names, which are needed whatever a `.dockerignore` says."""
    yield plan.application.path
    yield from (*plan.files, *plan.late_files)
    if plan.pip_config:
        yield plan.pip_config
    if plan.lock:
        yield plan.lock.root / "uv.lock"
        yield from (folder / "pyproject.toml" for folder in plan.lock.projects)


def _files(plan: Plan, rules: Ignored) -> Iterator[Path]:
    for part in plan.parts:
        for folder, below, names in os.walk(part):
            here = Path(folder)
            below[:] = sorted(name for name in below if _enters(plan, rules, here / name))
            links = [name for name in below if (here / name).is_symlink()]
            yield from (here / name for name in sorted([*names, *links]))


def _enters(plan: Plan, rules: Ignored, folder: Path) -> bool:
    """Whether to read a folder. A virtual environment of Python is never read."""
    name = plan.relative(folder)
    if rules.is_secret(name) or (folder / "pyvenv.cfg").is_file():
        return False
    return rules.may_take_back() or not rules.leaves_out(name)


def _copy(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if file.is_symlink():
        if not target.is_symlink():
            target.symlink_to(file.readlink())
    elif file.is_file():
        shutil.copyfile(file, target)
        target.chmod(0o755 if os.access(file, os.X_OK) else 0o644)
