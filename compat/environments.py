"""Two environments an application: its dependencies with this runtime, and with the development server.

The second gets the versions that the first was resolved to, so that what differs is the server and not a
library.
"""

from __future__ import annotations

import json
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

RUNTIME = Path(__file__).parents[1] / "runtime"
DEVELOPMENT = "langgraph-cli[inmem]>=0.4.30"
SHARED = ("lang", "pydantic", "deepagents", "openai", "anthropic")  # what an answer's form depends on


@dataclass(frozen=True)
class Failed:
    """An environment that could not be made, and the installer's words."""

    reason: str


def requirements(config: Path) -> list[str]:
    """What an installer is given for the `dependencies` (or the uv project) of this langgraph.json."""
    section = json.loads(config.read_text())
    here = config.parent
    if section.get("source", {}).get("kind") == "uv":
        root = here / section["source"].get("root", ".")
        return ["-e", str(root / _member(root, section["source"].get("package")))]
    wanted: list[str] = []
    for entry in section.get("dependencies", []):
        wanted += _local(here / entry) if entry.startswith(".") or (here / entry).is_dir() else [entry]
    return wanted


def _local(folder: Path) -> list[str]:
    if (folder / "pyproject.toml").exists() or (folder / "setup.py").exists():
        return ["-e", str(folder)]
    if (folder / "requirements.txt").exists():
        return ["-r", str(folder / "requirements.txt")]
    return []


def _member(root: Path, package: str | None) -> Path:
    """The folder of a package of a uv workspace."""
    for project in root.rglob("pyproject.toml") if package else []:
        if tomllib.loads(project.read_text()).get("project", {}).get("name") == package:
            return project.parent
    return root


def environment(
    uv: str, folder: Path, wanted: list[str], server: list[str], like: Path | None, *, python: str = ""
) -> Path | Failed:
    """A virtual environment with what the application wants and a server, of a version of Python (none: the
    machine's own); `like` gives the versions."""
    made_of = repr([*wanted, *server, *([python] if python else [])])
    ready = folder / "ready"
    if ready.exists() and ready.read_text() == made_of:
        return folder
    constraints = []
    if like:
        frozen = folder.with_suffix(".constraints")
        frozen.parent.mkdir(parents=True, exist_ok=True)
        frozen.write_text(_pins(uv, like))
        constraints = ["--constraints", str(frozen)]
    for words in (
        ["venv", "--quiet", "--clear", *(["--python", python] if python else []), str(folder)],
        ["pip", "install", "--quiet", "--python", f"{folder}/bin/python", *constraints, *server, *wanted],
    ):
        done = subprocess.run([uv, *words], capture_output=True, text=True, timeout=1800, check=False)
        if done.returncode:
            return Failed(" ".join(done.stderr.split())[:600])
    ready.write_text(made_of)
    return folder


def token_lists(uv: str, cache: Path) -> Path:
    """A folder with the token lists that OpenAI's tokeniser would download: a package on PyPI brings them."""
    target = cache / "tokens"
    found = target / "litellm" / "litellm_core_utils" / "tokenizers"
    if not found.exists():
        words = ["pip", "install", "--quiet", "--no-deps", "--target", str(target), "litellm"]
        subprocess.run([uv, *words], capture_output=True, timeout=600, check=False)
    return found


def _pins(uv: str, like: Path) -> str:
    frozen = subprocess.run(
        [uv, "pip", "freeze", "--python", f"{like}/bin/python"], capture_output=True, text=True, check=True
    ).stdout
    return "\n".join(line for line in frozen.splitlines() if "==" in line and line.startswith(SHARED))
