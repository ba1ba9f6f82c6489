"""The output of every command: plain lines, problems on stderr, exit code 2 for what can't work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

Named = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FILE]",
        help="A LangGraphService manifest or a langgraph.json; default: the one in this folder.",
        show_default=False,
    ),
]


def say(*lines: str) -> None:
    """On stdout."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for line in lines:
        console.print(line)


def warn(*lines: str) -> None:
    """On stderr."""
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    for line in lines:
        console.print(line)


def refused(*errors: BaseException) -> typer.Exit:
    """Says why on stderr; the command ends with code 2."""
    warn(*(str(error) for error in errors))
    return typer.Exit(2)
