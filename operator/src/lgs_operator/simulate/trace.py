"""Reads a recorded load: a CSV with a TIMESTAMP column, and how long the runs are if it says so.

What can't be read raises `LoadError` with file, line, value and rule.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from math import ceil, isfinite
from pathlib import Path

from lgs_operator.simulate.loads import MOST_RUNS, MOST_SECONDS, Load, LoadError
from lgs_operator.simulate.service import Job

TIME = "TIMESTAMP"
TOKENS = "GeneratedTokens"
FIRST_SECONDS = 0.5
SECONDS_PER_TOKEN = 0.03


def read_trace(path: Path, *, run_seconds: float = 2.0, seed: int = 1) -> Load:
    """The load in `path`, from its first arrival to the full second after its last.

    A run takes 0.5 s and 0.03 s for each of its GeneratedTokens; without that column its time is exponential
    with a mean of `run_seconds`. `OSError` when the file can't be opened.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            columns = reader.fieldnames or []
            if TIME not in columns:
                found = ", ".join(columns) or "none"
                raise LoadError(f"{path}:1: the columns are {found}; one must be {TIME}")
            has_tokens = TOKENS in columns
            rows = sorted(_rows(path, reader, has_tokens))
        except (csv.Error, UnicodeDecodeError) as error:
            raise LoadError(f"{path}:{reader.line_num + 1}: {error}; it must be CSV in UTF-8") from error
    if not rows:
        raise LoadError(f"{path}: no run in it; it must have a line for each run after the line of columns")
    start, seconds = rows[0][0], rows[-1][0] - rows[0][0]
    if seconds > MOST_SECONDS:
        raise LoadError(
            f"{path}: spans {seconds / 3600:.0f} h; it must span at most {MOST_SECONDS // 3600} h"
        )
    dice = random.Random(seed)
    jobs = tuple(
        Job(at - start, dice.expovariate(1 / run_seconds) if tokens is None else _length(tokens))
        for at, tokens in rows
    )
    length = "length from GeneratedTokens" if has_tokens else f"{run_seconds:g} s on average"
    title = f"{path.name}: {len(jobs)} runs in {_span(seconds)}, {length}"
    return Load(title, jobs, max(1.0, ceil(seconds)))


def _rows(path: Path, reader: csv.DictReader[str], has_tokens: bool) -> Iterator[tuple[float, float | None]]:
    for number, row in enumerate(reader, start=1):
        where = f"{path}:{reader.line_num}"
        if number > MOST_RUNS:
            raise LoadError(
                f"{where}: more runs than {MOST_RUNS}, the most that can be played; cut the trace"
            )
        yield _time(where, row[TIME]), _tokens(where, row[TOKENS]) if has_tokens else None


def _time(where: str, value: str | None) -> float:
    """Seconds since some start: of a date and time, or of a number of seconds."""
    text = (value or "").strip()
    try:
        try:
            seconds = float(text)
        except ValueError:
            moment = datetime.fromisoformat(text)
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        seconds = float("nan")
    if not isfinite(seconds):
        rule = "a time such as 2023-11-16 18:15:46.68, or a number of seconds"
        raise LoadError(f"{where}: {TIME} is {text!r}; it must be {rule}")
    return seconds


def _tokens(where: str, value: str | None) -> float:
    text = (value or "").strip()
    try:
        tokens = float(text)
    except ValueError:
        tokens = float("nan")
    if not (isfinite(tokens) and tokens >= 0):
        raise LoadError(f"{where}: {TOKENS} is {text!r}; it must be a number of at least 0")
    return tokens


def _length(tokens: float) -> float:
    return FIRST_SECONDS + SECONDS_PER_TOKEN * tokens


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"
