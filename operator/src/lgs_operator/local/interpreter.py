"""Chooses the Python that runs the application: that of its own environment, and that of
`lgs` only without one.

In this order: what `--python` names; an active environment that is not that of `lgs`; a `.venv` or `venv`
in the application's folder or above it in its repository; the environment that `uv run` makes from a
`uv.lock`; that of `lgs`.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlparse

from lgs_operator.application.model import SUPPORTED_PYTHONS
from lgs_operator.application.project import upwards
from lgs_operator.application.pythons import allows, required_by
from lgs_operator.application.workspace import lock_root, workspace_of
from lgs_operator.local.errors import LocalError

NAMES: Final = (".venv", "venv")
OLDEST: Final = (3, 11)
PROBE: Final = """
import importlib.util, json, sys
print(json.dumps({
    "executable": sys.executable,
    "prefix": sys.prefix,
    "version": sys.version_info[:3],
    "runtime": importlib.util.find_spec("lgs_runtime") is not None,
    "pip": importlib.util.find_spec("pip") is not None,
}))
"""


@dataclass(frozen=True, slots=True)
class Choice:
    """A Python that was chosen, and why. `project` is the folder whose environment `uv run` makes; `of_lgs`
    says that the application has no environment of its own.
    """

    why: str
    python: Path | None = None
    project: Path | None = None
    of_lgs: bool = False


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that has the runtime. `why` says in words why it was chosen; `of_lgs` that it is the one of
    `lgs`, as the application has no environment of its own.
    """

    python: Path
    prefix: Path
    version: str
    why: str
    of_lgs: bool = False
    has_pip: bool = True

    @property
    def command(self) -> tuple[str, ...]:
        """The command that starts the runtime with this Python."""
        script = self.prefix / "bin" / "lgs-runtime"
        return (str(script),) if script.is_file() else (str(self.python), "-m", "lgs_runtime.cli")

    def activated(self, env: Mapping[str, str]) -> dict[str, str]:
        """The environment variables with this environment active, so that programs that a graph starts by
        name come from it."""
        if not (self.prefix / "pyvenv.cfg").is_file():
            return dict(env)
        path = f"{self.prefix / 'bin'}{os.pathsep}{env.get('PATH', os.defpath)}"
        kept = {name: value for name, value in env.items() if name not in ("PYTHONHOME", "CONDA_PREFIX")}
        return {**kept, "VIRTUAL_ENV": str(self.prefix), "PATH": path}


def choose(folder: Path, flag: Path | None, env: Mapping[str, str], own: Path) -> Choice:
    """Chooses a Python. `own` is the prefix of the Python that runs `lgs`. Raises `LocalError` for a flag
    that names no Python.
    """
    if flag is not None:
        return Choice("given by --python", _flagged(flag))
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        active = env.get(variable)
        if active and Path(active).resolve() != own.resolve() and (python := _python_in(Path(active))):
            return Choice(f"the active environment ({variable})", python)
    workspace = workspace_of(folder)
    for place in (*upwards(folder), *([workspace] if workspace else [])):
        for name in NAMES:
            if (place / name / "pyvenv.cfg").is_file() and (python := _python_in(place / name)):
                return Choice(f"the application's own environment, {place / name}", python)
    if (root := lock_root(folder)) is not None and shutil.which("uv", path=env.get("PATH")):
        # From the folder, not the root: uv installs what that member of the workspace needs.
        return Choice(f"uv run, from {root / 'uv.lock'}", project=folder)
    return Choice("the one that lgs runs on", Path(sys.executable), of_lgs=True)


def interpreter(folder: Path, flag: Path | None, env: Mapping[str, str]) -> Interpreter:
    """The Python for an application. Raises `LocalError`, which says how to install what is missing."""
    choice = choose(folder, flag, env, Path(sys.prefix))
    command = [str(choice.python), "-c", PROBE]
    if choice.project is not None:
        command = ["uv", "run", "--quiet", "--project", str(choice.project), "python", "-c", PROBE]
    try:
        # uv's messages go to the terminal: making an environment may take a while.
        done = subprocess.run(command, stdout=subprocess.PIPE, env=dict(env), check=True, text=True)
        answer = json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, json.JSONDecodeError) as error:
        raise LocalError(f"{shlex.join(command[:-2])}: {choice.why}: can't be run: {error}") from None
    version = ".".join(map(str, answer["version"]))
    if tuple(answer["version"][:2]) < OLDEST:
        raise LocalError(
            f"{answer['executable']}: Python {version}: must be 3.11 or newer; choose by --python"
        )
    if flag is None and not allows(required := required_by(folder), version.rpartition(".")[0]):
        raise LocalError(_excluded(folder, required, version, choice, env))
    if not answer["runtime"]:
        raise LocalError(_no_runtime(Path(answer["executable"]), choice, answer["pip"], folder))
    return Interpreter(
        Path(answer["executable"]), Path(answer["prefix"]), version, choice.why, choice.of_lgs, answer["pip"]
    )


def at_hand(folder: Path, flag: Path | None, env: Mapping[str, str]) -> Interpreter | None:
    """An existing Python that has the runtime: the application's, else that of `lgs`; None without one.
    Unlike `uv run`, it makes no environment. Raises `LocalError` for a flag that names no Python."""
    own = Choice("the one that lgs runs on", Path(sys.executable), of_lgs=True)
    for choice in (choose(folder, flag, env, Path(sys.prefix)), own):
        if choice.python is None:
            continue
        try:
            done = subprocess.run(
                [str(choice.python), "-c", PROBE], capture_output=True, env=dict(env), check=True, text=True
            )
            answer = json.loads(done.stdout)
        except (OSError, subprocess.CalledProcessError, json.JSONDecodeError):
            continue
        if answer["runtime"]:
            version = ".".join(map(str, answer["version"]))
            return Interpreter(
                Path(answer["executable"]), Path(answer["prefix"]), version, choice.why, choice.of_lgs
            )
    return None


def installing(python: Path, arguments: list[str], *, has_pip: bool = True) -> str:
    """The command that installs into an environment: with uv if it works, as its environments have no pip."""
    if uv_runs():
        return shlex.join(["uv", "pip", "install", "--python", str(python), *arguments])
    install = shlex.join([str(python), "-m", "pip", "install", *arguments])
    return install if has_pip else f"{shlex.join([str(python), '-m', 'ensurepip'])} && {install}"


def making_one(folder: Path, arguments: list[str]) -> str:
    """The command that makes the application its own environment, where it will be found,
    with the runtime."""
    place = folder / NAMES[0]
    make = ["uv", "venv", "--python"] if uv_runs() else []
    make = [*make, sys.executable, *([] if make else ["-m", "venv"]), str(place)]
    needs = [runtime_source(), *arguments]
    return f"{shlex.join(make)} && {installing(place / 'bin' / 'python', needs)}"


def syncing(python: Interpreter, project: Path, root: Path) -> str:
    """The command by which uv installs one of its projects into the environment in `root`, or into another
    one if the application uses that; it also installs the runtime if the application has no environment yet.
    """
    sync = shlex.join(["uv", "sync", "--inexact", "--project", str(project)])
    place = root / NAMES[0]
    if python.of_lgs:
        runtime = ["uv", "pip", "install", "--python", str(place / "bin" / "python"), runtime_source()]
        return f"{sync} && {shlex.join(runtime)}"
    return (
        sync if python.prefix == place else f"UV_PROJECT_ENVIRONMENT={shlex.quote(str(python.prefix))} {sync}"
    )


def runtime_source() -> str:
    """What to install for the runtime: the folder from which `lgs` has it, or the one beside its own, else
    the distribution's name.
    """
    if (folder := _folder_of("lgs-runtime")) is not None:
        return str(folder)
    own = _folder_of("lgs-operator")
    beside = own.parent / "runtime" if own else None
    return str(beside) if beside and (beside / "pyproject.toml").is_file() else "lgs-runtime"


@cache
def uv_runs() -> bool:
    """Whether there is a working `uv`: a shim of a version manager may have nothing behind it."""
    if shutil.which("uv") is None:
        return False
    return subprocess.run(["uv", "--version"], capture_output=True, check=False).returncode == 0


def _excluded(folder: Path, required: str, version: str, choice: Choice, env: Mapping[str, str]) -> str:
    """The message for a Python that the application excludes. It comes before the code is loaded, whose
    syntax may be that of a newer Python."""
    names = [f"python{each}" for each in reversed(SUPPORTED_PYTHONS) if allows(required, each)]
    found = next((name for name in names if shutil.which(name, path=env.get("PATH"))), None)
    other = f"--python {found}" if found else "--python, or its environment from another one"
    needs = f"{folder / 'pyproject.toml'}: needs Python {required}, runs on {version} ({choice.why})"
    return f"{needs}; choose {other}"


def _no_runtime(python: Path, choice: Choice, has_pip: bool, folder: Path) -> str:
    lacks = f"{python}: {choice.why}: has no lgs-runtime, which serves the graphs"
    if choice.of_lgs:
        way = f"make the application an environment of its own:\n  {making_one(folder, [])}"
    else:
        way = f"install it there:\n  {installing(python, [runtime_source()], has_pip=has_pip)}"
    return f"{lacks}; {way}\nor choose another Python with --python"


def _folder_of(name: str) -> Path | None:
    """The folder that a distribution was installed from; None if it is from an index, or not installed."""
    try:
        origin = distribution(name).read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    url = urlparse(json.loads(origin).get("url", "")) if origin else None
    return Path(unquote(url.path)) if url is not None and url.scheme == "file" else None


def _flagged(flag: Path) -> Path:
    """The Python that the flag names: by its path, by the folder of its environment, or by a
    name on the PATH."""
    if flag.is_dir() and (python := _python_in(flag)):
        return python.absolute()
    named = shutil.which(str(flag))
    if named is None:
        raise LocalError(f"--python: {flag}: must be a Python, or the folder of an environment")
    # Not resolved: an environment's Python is a link to one with other packages.
    return Path(named).absolute()


def _python_in(prefix: Path) -> Path | None:
    python = prefix / "bin" / "python"
    return python if python.is_file() else None
