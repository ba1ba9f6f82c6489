"""What a repository tells about the service that it could become. Reads the repository, and
decides what follows."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lgs_operator.application import Application
from lgs_operator.application.members import Member, members_of, name_in
from lgs_operator.application.names import NotPython, imports_in
from lgs_operator.application.project import EXAMPLES, name_of, pyproject_of, upwards
from lgs_operator.application.workspace import normal
from lgs_operator.images.ignore import Ignored

NO_REGISTRY: Final = "registry.example.com"
"""The placeholder for a registry that can't be found out."""
MOST_BYTES: Final = 900 * 1024
"""Most bytes of files for a ConfigMap, which holds 1 MiB with its keys and metadata."""
IN_STOCK: Final = frozenset({
    "aiosqlite", "anyio", "asyncpg", "cronsim", "fastapi", "httptools", "httpx", "langchain-core",
    "langgraph", "langgraph-checkpoint", "langgraph-checkpoint-postgres", "langgraph-checkpoint-sqlite",
    "langgraph-prebuilt", "langgraph-sdk", "langsmith", "lgs-runtime", "opentelemetry-api",
    "opentelemetry-sdk", "orjson", "ormsgpack", "packaging", "prometheus-client", "psycopg", "psycopg-pool",
    "pydantic", "python-dotenv", "pyyaml", "redis", "requests", "starlette", "structlog", "tenacity", "typer",
    "typing-extensions", "tzdata", "uvicorn", "uvloop", "zstandard",
})  # fmt: skip
"""Packages in the stock image that a graph may want."""
_MODULES: Final = {
    "opentelemetry-api": "opentelemetry", "python-dotenv": "dotenv", "pyyaml": "yaml",
}  # fmt: skip
_NOT_FOR_THE_SERVICE: Final = re.compile(
    r"(?i)^(\..*|readme.*|license.*|changelog.*|contributing.*|makefile|dockerfile.*|docker-compose.*|uv\.lock"
    r"|poetry\.lock|pyproject\.toml|requirements.*\.txt|setup\.(py|cfg)|conftest\.py|test_.*\.py|.*\.(ipynb|png|jpg|gif|svg)"
    r"|(service|lgs)\.ya?ml|(thread|sessions)\.ndjson(\.gz)?)$"
)
_VARIABLE: Final = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about the application. `why_image` is None if a ConfigMap can hold it; then
    `files` are its files."""

    name: str
    why_name: str
    config: str
    graphs: tuple[str, ...]
    image: str
    why_image: str | None
    files: tuple[str, ...]
    variables: tuple[str, ...]
    variables_from: str
    env_file: str | None
    has_auth: bool
    folder: str = "."
    """The application's folder, as the manifest names it."""
    env_wanted: str = ".env"
    """Where the file of variables is, or belongs if it does not exist yet."""
    env_missing: bool = False
    """Whether the langgraph.json names a file of variables that does not exist."""


def facts_of(application: Application, image: str | None = None, beside: Path | None = None) -> Facts:
    """All facts. `image` is the name that was asked for; `beside` is the folder of the new manifest."""
    folder = application.folder
    name, why_name = name_of(folder)
    files = _files(folder)
    why_image = "it was asked for" if image else _why_image(application, files)
    variables, source = _variables(application)
    env_file = application.env_file
    return Facts(
        name=name,
        why_name=why_name,
        config=application.path.name,
        graphs=tuple(application.graphs),
        image=image or f"{_registry(folder)}/{name}:{_version(folder)}",
        why_image=why_image,
        files=tuple(file.name for file in files),
        variables=variables,
        variables_from=source,
        env_file=_shown(env_file, folder) if env_file is not None and env_file.is_file() else None,
        has_auth=application.has_auth,
        folder=_shown(folder, beside or folder),
        env_wanted=_shown(env_file or folder / ".env", folder),
        env_missing=env_file is not None and not env_file.is_file(),
    )


def variables_in(text: str) -> tuple[str, ...]:
    """The names that a file of variables sets, including those commented out as `# NAME=`; not the values."""
    lines = (line.strip().removeprefix("#").strip() for line in text.splitlines())
    found = (match.group(1) for line in lines if (match := _VARIABLE.match(line)))
    return tuple(dict.fromkeys(found))


def _variables(application: Application) -> tuple[tuple[str, ...], str]:
    """The names of variables, and where they are from. An example file is preferred: it is more often
    complete than the file of one machine."""
    beside = [application.env_file.parent] if application.env_file else []
    for folder in dict.fromkeys([*beside, application.folder]):
        for name in EXAMPLES:
            if (folder / name).is_file():
                return variables_in((folder / name).read_text("utf-8-sig", errors="replace")), _shown(
                    folder / name, application.folder
                )
    if application.env_file and application.env_file.is_file():
        text = application.env_file.read_text("utf-8-sig", errors="replace")
        return variables_in(text), _shown(application.env_file, application.folder)
    return tuple(application.env), f"env of {application.path.name}"


def _why_image(application: Application, files: Sequence[Path]) -> str | None:
    """Why a ConfigMap can't hold the application; None if it can."""
    section, folder = application.image, application.folder
    asked = {
        "dockerfile_lines": section.dockerfile_lines, "base_image": section.base_image,
        "source": section.source, "pip_config_file": section.pip_config_file,
    }  # fmt: skip
    if given := [name for name, value in asked.items() if value]:
        return f"{', '.join(given)} of {application.path.name} is for one"
    if outside := [each for each in application.folders if each != folder]:
        return f"code is in {_shown(outside[0], folder)}, and a ConfigMap has no folders"
    if below := sorted(set(_code_below(folder))):
        used = [place for place in below if _has_graph(application, place)]
        return f"code is in {_shown((used or below)[0], folder)}, and a ConfigMap has no folders"
    if missing := _not_in_stock(application, files):
        return f"the stock image lacks {', '.join(missing[:5])}{' and more' if len(missing) > 5 else ''}"
    size = sum(file.stat().st_size for file in files)
    return f"its files have {size // 1024} KiB, and a ConfigMap holds 1 MiB" if size > MOST_BYTES else None


def _has_graph(application: Application, place: Path) -> bool:
    """Whether a graph is in a file or in a module of the folder."""
    locations = [path.rpartition(":")[0] for path in application.graphs.values()]
    files = {Path(os.path.normpath(application.folder / location)).parent for location in locations}
    bases = (application.folder, application.folder / "src")
    modules = [base.joinpath(*location.split(".")) for base in bases for location in locations]
    return place in files | {*modules, *(module.parent for module in modules)}


def _not_in_stock(application: Application, files: Sequence[Path]) -> list[str]:
    members = members_of(application.folders)
    wanted = {normal(name_in(text)) for text in (*application.packages, *_required(members))}
    needed = wanted - IN_STOCK
    modules = {_MODULES.get(name, name.replace("-", "_")) for name in IN_STOCK}
    known = modules | {file.stem for file in files} | sys.stdlib_module_names | {"psycopg_pool"}
    for file in files:
        if file.suffix == ".py":
            try:
                needed |= {normal(name) for name in imports_in(file) - known}
            except (NotPython, OSError):
                continue
    return sorted(needed)


def _required(members: Iterable[Member]) -> Iterable[str]:
    for member in members:
        if member.requirements is None:
            yield f"what {member.folder.name} needs"
        yield from member.requirements or ()
        if member.requirements_file is not None:
            lines = member.requirements_file.read_text("utf-8-sig", errors="replace").splitlines()
            yield from (line for line in map(str.strip, lines) if line and not line.startswith(("#", "-")))


def _files(folder: Path) -> list[Path]:
    """The files in the folder that may belong to the service."""
    secret = Ignored()
    found = [
        file
        for file in sorted(folder.iterdir())
        if file.is_file() and not secret.leaves_out(file.name) and not _NOT_FOR_THE_SERVICE.match(file.name)
    ]
    # The keys of a ConfigMap allow few characters.
    return [file for file in found if re.fullmatch(r"[-._a-zA-Z0-9]+", file.name)]


def _code_below(folder: Path) -> Iterable[Path]:
    useless = Ignored()
    for each in folder.iterdir():
        hidden = each.name.startswith(".") or each.name in ("tests", "test", "docs", "notebooks", "venv")
        if (
            each.is_dir()
            and not hidden
            and not useless.leaves_out(each.name)
            and not (each / "pyvenv.cfg").exists()
        ):
            yield from (file.parent for file in each.rglob("*.py"))


def _registry(folder: Path) -> str:
    """The registry of the forge that the repository is pushed to; a placeholder if it is not known."""
    for place in upwards(folder):
        try:
            text = (place / ".git" / "config").read_text("utf-8-sig", errors="replace")
        except OSError:
            continue
        if (owner := re.search(r"url\s*=\s*\S*github\.com[:/]([\w.-]+)/", text)) is not None:
            return f"ghcr.io/{owner.group(1).lower()}"
    return NO_REGISTRY


def _version(folder: Path) -> str:
    version = pyproject_of(folder).get("project", {}).get("version")
    return version if isinstance(version, str) and re.fullmatch(r"[\w.-]+", version) else "0.1.0"


def _shown(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
