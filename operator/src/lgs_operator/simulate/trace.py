"""Reads a recorded load: CSV or JSON lines, plain or gzipped, with a line for each run.

It is read line by line, and no further than the most runs allowed, so that a file of any size takes bounded
memory. What can't be read raises `LoadError` with file, line, value and rule.
"""

from __future__ import annotations

import csv
import gzip
import json
import random
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import chain, pairwise
from math import ceil, inf
from pathlib import Path
from typing import TextIO

from lgs_operator.simulate.columns import Columns
from lgs_operator.simulate.loads import MONDAY, MOST_RUNS, MOST_SECONDS, Load, LoadError
from lgs_operator.simulate.record import Job

GZIP = b"\x1f\x8b"
MOST_LINE = 1024 * 1024
DELIMITERS = ",;\t"
BEYOND = "\0"
"""The key under which the reader keeps fields without a column."""
LEAST_DATE = 1e8
"""The least number of seconds that counts as a date."""
LATEST_SECONDS = 3600.0
"""Seconds by which a line may be out of order and still be found after the hours that are asked for."""
UNREADABLE = (csv.Error, UnicodeDecodeError, EOFError, gzip.BadGzipFile, zlib.error)
Rows = Iterator[tuple[str, Mapping[str, object]]]


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a long trace to play: `hours` (None: all) from `skip_hours` after its first line on."""

    skip_hours: float = 0.0
    hours: float | None = None


ALL = Part()


def read_trace(path: Path, *, run_seconds: float | None = None, seed: int = 1, part: Part = ALL) -> Load:
    """The load in `path`, from its first arrival to the full second after its last.

    The length of a run is in the file, or is 0.5 s and 0.03 s for each token that it gave; else it is
    exponential with a mean of `run_seconds` (default 2 s). Raises `OSError` if the file can't be opened.
    """
    mean = 2.0 if run_seconds is None else run_seconds
    with _opened(path) as file:
        try:
            rows = _rows(path, file)
            where, first = next(rows, (None, {}))
            if where is None:
                raise LoadError(f"{path}: no run in it; it must have a line for each run")
            columns = Columns.of(where, list(first))
            found = list(_within(part, _read(columns, chain(((where, first),), rows))))
        except UNREADABLE as error:
            raise LoadError(f"{path}: {error}; it must be CSV or JSON lines in UTF-8") from error
    return _load(path, found, columns.words(mean), mean, seed)


def _load(path: Path, found: list[tuple[float, float | None]], words: str, mean: float, seed: int) -> Load:
    if not found:
        raise LoadError(f"{path}: no run in the hours that are asked for: pass other ones")
    backwards = sum(after < before for (before, _), (after, _) in pairwise(found))
    found.sort(key=lambda each: each[0])
    start, seconds = found[0][0], found[-1][0] - found[0][0]
    if seconds > MOST_SECONDS:
        raise LoadError(
            f"{path}: spans {_hours(seconds)}; it must span at most {MOST_SECONDS // 3600} h: "
            f"pass --hours, and --skip-hours for where to begin"
        )
    dice = random.Random(seed)
    jobs = tuple(
        Job(at - start, dice.expovariate(1 / mean) if length is None else length) for at, length in found
    )
    order = f", sorted by time ({backwards} out of order)" if backwards else ""
    title = f"{path.name}: {len(jobs)} runs in {_span(seconds)}, {words}{order}"
    starts_at = start if start >= LEAST_DATE else MONDAY + max(0.0, start)
    return Load(title, jobs, max(1.0, ceil(seconds)), starts_at)


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """Opens `path` as text, unzipped if it is gzipped."""
    with path.open("rb") as raw:
        is_gzip = raw.read(len(GZIP)) == GZIP
        raw.seek(0)
        plain = gzip.GzipFile(fileobj=raw) if is_gzip else raw
        yield TextIOWrapper(plain, encoding="utf-8-sig", newline="")


def _lines(path: Path, file: TextIO) -> Iterator[str]:
    number = 0
    while line := file.readline(MOST_LINE):
        number += 1
        if len(line) == MOST_LINE and not line.endswith("\n"):
            raise LoadError(
                f"{path}:{number}: a line of more than {MOST_LINE} characters; it must be shorter"
            )
        yield line


def _rows(path: Path, file: TextIO) -> Rows:
    """Each run's row, after its place in the file."""
    lines = _lines(path, file)
    first = next((line for line in lines if line.strip()), "")
    if first.lstrip().startswith("["):
        raise LoadError(f"{path}: a list; it must be CSV or JSON lines, an object of JSON on each")
    both = chain((first,), lines)
    return _json(path, both) if first.lstrip().startswith("{") else _csv(path, both, first)


def _csv(path: Path, lines: Iterator[str], first: str) -> Rows:
    delimiter = max(DELIMITERS, key=first.count)
    # A field may hold prompts and answers.
    csv.field_size_limit(MOST_LINE)
    reader = csv.DictReader(lines, delimiter=delimiter, skipinitialspace=True, restkey=BEYOND)
    names = reader.fieldnames or []
    Columns.of(f"{path}:1", names)
    for row in reader:
        where = f"{path}:{reader.line_num}"
        if any(each.strip() for each in row.pop(BEYOND, ())):
            raise LoadError(
                f"{where}: more fields than the {len(names)} columns; what has a {delimiter!r} must be quoted"
            )
        yield where, row


def _json(path: Path, lines: Iterator[str]) -> Rows:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise LoadError(f"{where}: {error}; it must be an object of JSON on one line") from error
        if not isinstance(row, dict):
            raise LoadError(f"{where}: {line.strip()[:60]!r}; it must be an object of JSON on one line")
        yield where, row


def _read(columns: Columns, rows: Rows) -> Iterator[tuple[str, float, float | None]]:
    for where, row in rows:
        yield where, *columns.read(where, row)


def _within(
    part: Part, runs: Iterator[tuple[str, float, float | None]]
) -> Iterator[tuple[float, float | None]]:
    """The runs in `part`. Raises `LoadError` if there are more than can be played."""
    start: float | None = None
    number = 0
    for where, at, length in runs:
        start = at if start is None else start
        begin = start + 3600 * part.skip_hours
        end = inf if part.hours is None else begin + 3600 * part.hours
        if at > end + LATEST_SECONDS:
            return
        # Without hours to skip, runs that lie before the first line's time are played too.
        if at >= end or (at < begin and part.skip_hours > 0):
            continue
        number += 1
        if number > MOST_RUNS:
            raise LoadError(
                f"{where}: more runs than {MOST_RUNS}, the most that can be played: pass fewer --hours"
            )
        yield at, length


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.0f} h" if hours < 1e6 else f"{hours:.3g} h"


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"
