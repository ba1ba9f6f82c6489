"""`lgs dockerfile` and `lgs build`: an image from a `langgraph.json`."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lgs_crds import ManifestError, Problem
from lgs_operator.application import Application, read
from lgs_operator.application.image_keys import LEFT_OUT, user_of
from lgs_operator.application.project import name_of, pyproject_of
from lgs_operator.application.target import CONFIG
from lgs_operator.application.workspace import lock_root
from lgs_operator.commands.console import refused, say, warn
from lgs_operator.images.builder import BuildError, Request, build
from lgs_operator.images.context import env_files
from lgs_operator.images.dockerfile import dockerfile as text_of
from lgs_operator.images.ignore import SECRETS, as_dockerignore
from lgs_operator.images.plan import STOCK, Plan, plan

File = Annotated[Path, typer.Argument(metavar="[LANGGRAPH.json]", help="Default: the one in this folder.")]
Base = Annotated[
    str | None,
    typer.Option(help="Image to build on: the stock runtime, or yours made from it.", show_default=False),
]
Without = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY", help="Build without what this key of the file asks for; may be repeated."),
]


def dockerfile(
    file: File = Path(CONFIG),
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write it there, with a .dockerignore where none is."),
    ] = None,
    base_image: Base = None,
    without: Without = None,
) -> None:
    """Print the Dockerfile of a langgraph.json."""
    try:
        made = _plan(file, base_image, without or [])
        if output is not None:
            output.write_text(text_of(made), "utf-8")
            _protect(made)
    except (ManifestError, OSError) as error:
        raise refused(error) from None
    if output is None:
        typer.echo(text_of(made), nl=False)
        return
    say(shlex.join(["docker", "build", "-f", str(output), "-t", _tag(made.application), str(made.root)]))


def build_image(
    file: File = Path(CONFIG),
    *,
    tag: Annotated[
        str | None,
        typer.Option("--tag", "-t", help="Name of the image.", show_default="name:version of the project"),
    ] = None,
    push: Annotated[bool, typer.Option("--push", help="Push it to its registry.")] = False,
    base_image: Base = None,
    build_arg: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="For ARG in dockerfile_lines; may be repeated."),
    ] = None,
    without: Without = None,
    builder: Annotated[
        str | None, typer.Option(help="docker, buildah or podman.", show_default="the first that answers")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Take nothing from earlier builds.")] = False,
) -> None:
    """Build an image from a langgraph.json: what it needs, then its code, on the stock runtime."""
    try:
        made = _plan(file, base_image, without or [])
        name = tag or _tag(made.application)
        build(made, Request(name, _arguments(build_arg or []), push, builder, no_cache), warn)
    except (ManifestError, BuildError, OSError) as error:
        raise refused(error) from None
    say(name)


def _plan(file: Path, base_image: str | None, without: list[str]) -> Plan:
    if unknown := [key for key in without if key not in LEFT_OUT]:
        rule = f"must be one of {', '.join(LEFT_OUT)}"
        raise ManifestError("lgs", tuple(Problem("--without", rule, key) for key in unknown))
    application = read(file / CONFIG if file.is_dir() else file)
    left = tuple(each for each in application.unbuildable if each.path not in without)
    for note in application.notes:
        warn(f"{file}: note: {note}")
    if application.image.source is None and (root := lock_root(application.folder)) is not None:
        way = '"source": {"kind": "uv"} in place of dependencies installs what it pins'
        warn(f"{file}: note: {root / 'uv.lock'} is not read: {way}")
    for name, value in application.env.items():
        if value and any(mark in name.upper() for mark in ("KEY", "TOKEN", "SECRET", "PASSWORD")):
            warn(f"{file}: env.{name}: is in the image with {CONFIG}; a secret belongs in a Secret")
    made = plan(
        replace(application, unbuildable=left), base_image, os.environ.get("LGS_RUNTIME_IMAGE") or STOCK
    )
    for name in made.indexed:
        rule = f"its index is not asked, {name} is taken from the build's own; `source` of kind uv asks it"
        warn(f"{file}: note: tool.uv.sources.{name}: {rule}")
    return made


def _tag(application: Application) -> str:
    version = pyproject_of(application.folder).get("project", {}).get("version")
    return f"{name_of(application.folder)[0]}:{version if isinstance(version, str) else 'latest'}"


def _arguments(given: list[str]) -> tuple[str, ...]:
    problems = [
        Problem(
            "--build-arg", "must be NAME=VALUE without a user or token: the image's history keeps it", name
        )
        for name, _, value in (each.partition("=") for each in given)
        if user_of(value)
    ]
    if problems:
        raise ManifestError("lgs build", tuple(problems))
    return tuple(given)


def _protect(made: Plan) -> None:
    """What a builder of the user's own reads: a `.dockerignore` beside the context."""
    file = made.root / ".dockerignore"
    if not file.exists():
        file.write_text(as_dockerignore(env_files(made)), "utf-8")
        say(f"{file}: written, so that no secret gets into the image")
        return
    lines = {line.strip() for line in file.read_text("utf-8", errors="replace").splitlines()}
    if not lines & {".env", "**/.env", ".env*", "**/.env*", "*"}:
        warn(f"{file}: lets .env through; add: {' '.join(SECRETS[:2])}")
