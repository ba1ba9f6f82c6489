"""The output of every command: plain lines, problems on stderr, exit code 2 for what can't work."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError
from rich.console import Console
from typer.core import TyperGroup

Named = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FILE]",
        help="A LangGraphService manifest or a langgraph.json; default: the one in this folder.",
        show_default=False,
    ),
]

_TO_THE_TERMINAL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters other than tab and line feed, and those that turn the direction of a text."""


class Commands(TyperGroup):
    """Commands that refuse an option's value by the option, the value and the rule: typer leaves the value
    out where pydantic reads it."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command. Raises `typer.BadParameter` for what an option can't be."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if isinstance(error.__cause__, ValidationError):
                first = error.__cause__.errors(include_url=False, include_context=False)[0]
                error.message = f"{first['input']}: {error.message.replace('Input should be', 'must be')}"
            raise


def escape_unprintable() -> None:
    """Has a character that a terminal or file of this encoding can't have written as its number, rather than
    end the command: half an emoji in the words of an application's error, a name in an ASCII locale."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def visible(text: str) -> str:
    """The text with the number of each character that a terminal obeys and does not show: Events, and what
    pods and Gateways say of themselves, are others' words, and must not write over what stands there."""
    return _TO_THE_TERMINAL.sub(lambda found: ascii(found[0])[1:-1], text)


def say(*lines: str) -> None:
    """On stdout."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for line in lines:
        console.print(visible(line))


def warn(*lines: str) -> None:
    """On stderr."""
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    for line in lines:
        console.print(visible(line))


def refused(*errors: BaseException) -> typer.Exit:
    """Says why on stderr; the command ends with code 2."""
    warn(*map(_words, errors))
    return typer.Exit(2)


def _words(error: BaseException) -> str:
    """What the kernel refuses begins with the file, as all that is said of one."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}: must be a file or folder that can be read, or written"
    return str(error)
