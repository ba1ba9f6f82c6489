"""The output of every command: plain lines, problems on stderr, exit code 2 for what can't work."""

from __future__ import annotations

import io
import sys
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


def escape_unprintable() -> None:
    """Has a character that a terminal or file of this encoding can't have written as its number, rather than
    end the command: half an emoji in the words of an application's error, a name in an ASCII locale."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


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
    warn(*map(_words, errors))
    return typer.Exit(2)


def _words(error: BaseException) -> str:
    """What the kernel refuses begins with the file, as all that is said of one."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}: must be a file or folder that can be read, or written"
    return str(error)
