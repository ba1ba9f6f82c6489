"""`lgs init`: a manifest from a `langgraph.json`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from lgs_crds import ManifestError
from lgs_operator.application import read
from lgs_operator.application.target import CONFIG
from lgs_operator.commands.console import refused, say, warn
from lgs_operator.scaffold.facts import facts_of
from lgs_operator.scaffold.manifest import manifest


def init(
    file: Annotated[
        Path, typer.Argument(metavar="[LANGGRAPH.json]", help="Default: the one in this folder.")
    ] = Path(CONFIG),
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to write it.", show_default="service.yaml beside it"),
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="Name of the application's image.", show_default="found out")
    ] = None,
) -> None:
    """Write a manifest for a langgraph.json; an existing file is left as it is."""
    try:
        application = read(file / CONFIG if file.is_dir() else file)
        target = output or application.folder / "service.yaml"
        facts = facts_of(application, image, target.absolute().parent)
        try:
            with target.open("x", encoding="utf-8") as written:
                written.write(manifest(facts))
        except FileExistsError:
            rule = "is there already and is left as it is; name another with --output"
            raise FileExistsError(f"{target}: {rule}") from None
    except (ManifestError, OSError) as error:
        raise refused(error) from None
    warn(*(f"{application.path.name}: note: {note}" for note in application.notes))
    warn(*(f"{application.path.name}: not for lgs build: {each}" for each in application.unbuildable))
    say(
        f"{target}: written; the comments say why it is as it is",
        f"  {shlex.join(['lgs', 'up', str(target)])}",
        f"  {shlex.join(['lgs', 'validate', '--cluster', str(target)])}",
    )
