"""The `lgs` command: run a manifest on this machine, check one, try the scaling law on a load."""

from __future__ import annotations

import asyncio
import logging
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console

from lgs_crds import ManifestError, load, parse
from lgs_operator.local.service import LocalError, Options
from lgs_operator.local.supervisor import Supervisor
from lgs_operator.local.view import View

app = typer.Typer(
    help="Run LangGraph applications from one manifest.", no_args_is_help=True, pretty_exceptions_enable=False
)
Manifest = Annotated[Path, typer.Argument(metavar="SERVICE.yaml", help="The LangGraphService manifest.")]


@app.command()
def up(
    manifest: Manifest,
    *,
    port: Annotated[int, typer.Option(help="Port that the replicas share; 0 takes a free one.")] = 8123,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    source: Annotated[Path | None, typer.Option(help="Folder of the graph's code.")] = None,
    database_uri: Annotated[
        str | None, typer.Option(help="postgres://… to keep sessions there instead of SQLite.")
    ] = None,
    history: Annotated[Path | None, typer.Option(help="Append each decision to this file (JSON).")] = None,
) -> None:
    """Run the service here: worker processes for replicas, scaled by load, replaced when files change."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    options = Options(manifest.resolve(), host, port, source, database_uri, history)
    try:
        asyncio.run(Supervisor(options, View()).run())
    except* (ManifestError, LocalError, OSError) as group:
        raise _refused(*group.exceptions) from None


@app.command()
def validate(
    manifest: Manifest,
    cluster: Annotated[bool, typer.Option(help="Also the rules that hold on a cluster only.")] = False,
) -> None:
    """Check a manifest without running it."""
    try:
        service = load(manifest)
        if cluster:
            written = service.model_dump(by_alias=True, exclude_unset=True)
            parse(written, source=str(manifest), on_cluster=True)
    except (ManifestError, OSError) as error:
        raise _refused(error) from None
    Console(highlight=False).print(f"{manifest}: {service.metadata.name} is valid")


@app.command()
def version() -> None:
    """Print the version."""
    Console(highlight=False).print(version_of("lgs-operator"))


def _refused(*errors: BaseException) -> typer.Exit:
    """Says why on stderr; the command ends with code 2."""
    for error in errors:
        Console(stderr=True, highlight=False, soft_wrap=True, markup=False).print(str(error))
    return typer.Exit(2)


if __name__ == "__main__":
    app()
