"""The `lgs` command: from a repository to a service, on this machine and in an image."""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import Annotated

import typer

from lgs_operator.commands.console import Commands, escape_unprintable, say
from lgs_operator.commands.dashboard import dashboard
from lgs_operator.commands.images import build_image, dockerfile
from lgs_operator.commands.init import init
from lgs_operator.commands.rollback import rollback
from lgs_operator.commands.simulate import simulate
from lgs_operator.commands.top import top
from lgs_operator.commands.up import up
from lgs_operator.commands.validate import validate
from lgs_operator.commands.why import why

app = typer.Typer(
    cls=Commands,
    help="Run LangGraph applications from one manifest.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        version()
        raise typer.Exit


@app.callback()
def _written_anywhere(
    *,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    escape_unprintable()


app.command()(init)
app.command()(up)
app.command()(validate)
app.command("build")(build_image)
app.command()(dockerfile)
app.command()(simulate)
app.command()(rollback)
app.command()(why)
app.command()(top)
app.command()(dashboard)


@app.command()
def version() -> None:
    """Print the version."""
    say(version_of("lgs-operator"))


if __name__ == "__main__":
    app()
