"""Reports exceptions of the user's code: the traceback from the user's first frame on, the place where the
exception was raised, and its text in one line.

A pod's termination message is the end of the log, at most 2048 bytes and 80 lines. So a report has to be
short, with what matters at its end.
"""

from __future__ import annotations

import contextlib
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

LONGEST_LINE: Final = 400
OURS: Final = str(Path(__file__).resolve().parent)
MACHINERY: Final = ("importlib", "asyncio", "concurrent", "contextlib.py", "threading.py", "runpy.py")
"""Modules between this server and the user's code, in the folder of the standard library."""
_LIBRARIES: Final = tuple(
    dict.fromkeys(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
)


def summary(raised: BaseException) -> str:
    """An exception in one line: `KeyError: 'NAME' (/app/graph.py:3)`."""
    said = " ".join(named_text(raised).split())
    if len(said) > LONGEST_LINE:
        said = f"{said[:LONGEST_LINE]}…"
    place = place_of(raised)
    return f"{said} ({place})" if place else said


def named_text(raised: BaseException) -> str:
    """Type name and text of an exception: `KeyError: 'NAME'`; only the name if there is no text."""
    text = text_of(raised)
    return f"{type(raised).__name__}: {text}" if text else type(raised).__name__


def text_of(raised: BaseException) -> str:
    """The text of an exception; empty if its `__str__` raises, as a user's exception may."""
    # Also suppresses what would end the caller's task: SystemExit, CancelledError.
    with contextlib.suppress(BaseException):
        return str(raised)
    return ""


def place_of(raised: BaseException) -> str:
    """`file:line` where the exception was raised: the last line of the user's own code, or of a library if
    there is none; empty if unknown."""
    if isinstance(raised, SyntaxError) and raised.filename:
        return f"{raised.filename}:{raised.lineno}"
    frames = [(tb.tb_frame.f_code.co_filename, tb.tb_lineno) for tb in _frames(_users(raised.__traceback__))]
    own = [frame for frame in frames if not frame[0].startswith(("<", *_LIBRARIES, OURS))]
    if not frames:
        return ""
    file, line = (own or frames)[-1]
    return f"{file}:{line}"


def user_traceback(raised: BaseException) -> str:
    """The traceback as Python prints it, without the frames before the user's first."""
    shown = traceback.TracebackException(type(raised), raised, _users(raised.__traceback__))
    return "".join(shown.format()).rstrip("\n")


def passed_through(raised: BaseException, file: Path) -> bool:
    """Whether the traceback passes through a file."""
    files = {tb.tb_frame.f_code.co_filename for tb in _frames(raised.__traceback__)}
    if isinstance(raised, SyntaxError) and raised.filename:
        files.add(raised.filename)
    return file.resolve() in {Path(name).resolve() for name in files}


def _users(first: TracebackType | None) -> TracebackType | None:
    """The traceback from the user's first frame on; whole if there is none."""
    return next((tb for tb in _frames(first) if not _between(tb.tb_frame.f_code.co_filename)), None)


def _between(file: str) -> bool:
    if file.startswith(("<frozen", OURS)):
        return True
    return any(file.startswith(f"{_LIBRARIES[0]}/{name}") for name in MACHINERY)


def _frames(tb: TracebackType | None) -> Iterator[TracebackType]:
    while tb is not None:
        yield tb
        tb = tb.tb_next
