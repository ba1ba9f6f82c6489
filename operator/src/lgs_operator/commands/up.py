"""`lgs up`."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from lgs_crds import ManifestError
from lgs_operator.application.target import found
from lgs_operator.commands.console import Named, refused


def up(
    file: Named = None,
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port that the replicas share; 0 takes a free one.")
    ] = 8123,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    source: Annotated[
        Path | None,
        typer.Option(help="Folder of the code of a manifest.", show_default="what its source.folder says"),
    ] = None,
    python: Annotated[
        Path | None,
        typer.Option(
            help="Python, or environment, of the application.", show_default="the application's own"
        ),
    ] = None,
    database_uri: Annotated[
        str | None, typer.Option(help="postgres://… to keep sessions there instead of SQLite.")
    ] = None,
    page_port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, help="Port of its page on this machine; where another has it, a free one."
        ),
    ] = 8124,
    history: Annotated[Path | None, typer.Option(help="Append each decision to this file (JSON).")] = None,
) -> None:
    """Run the service here: worker processes for replicas, scaled by load, replaced when files change."""
    # The other commands need no HTTP client and no log, which are half of what there is to import.
    import structlog  # noqa: PLC0415

    from lgs_operator.local.errors import LocalError  # noqa: PLC0415
    from lgs_operator.local.service import Options  # noqa: PLC0415
    from lgs_operator.local.supervisor import Supervisor  # noqa: PLC0415
    from lgs_operator.local.view import View  # noqa: PLC0415

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    try:
        options = Options(
            found(file).resolve(), host, port, source, database_uri, history, python, page_port=page_port
        )
        asyncio.run(Supervisor(options, View()).run())
    except* (ManifestError, LocalError, OSError) as group:
        raise refused(*group.exceptions) from None
