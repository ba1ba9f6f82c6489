"""Reads the log of a worker for people: what went wrong, what it did not find, and what would help. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

MOST_LINES: Final = 60
SERIOUS: Final = frozenset({"warning", "error", "critical"})
_VARIABLE: Final = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
_MISSING: Final = re.compile(r"No module named '([\w.]+)'")


def readable(log: Sequence[str], said: Collection[str] = ()) -> list[str]:
    """The lines of a log that say what went wrong, each record on a line with its traceback below it. Records
    of lower levels and lines already `said` are left out; of a long log only the end is given.
    """
    lines = [line for written in log for line in _lines(written.rstrip()) if line not in said]
    kept = lines[-MOST_LINES:]
    return kept if len(kept) == len(lines) else [f"… {len(lines) - len(kept)} lines before this", *kept]


def missing_module(log: Sequence[str]) -> str | None:
    """The last package in the log that an import did not find; None without one."""
    found = [match.group(1) for line in log for match in _MISSING.finditer(line)]
    return found[-1].partition(".")[0] if found else None


def in_vain(
    last_words: str, environment: Collection[str], flags: Mapping[str, str], data_dir: str
) -> str | None:
    """What to do about a start that failed with these words, if no change of a file can mend it: they begin
    with a variable of the environment that `lgs` was started in, or with one that an option set (`flags`), or
    they name `data_dir`, where `lgs up` keeps its own files. None if a change might help."""
    if data_dir in last_words:
        return f"mend what is in {data_dir}, or move it away, and start lgs up again"
    first = _VARIABLE.match(last_words)
    name = first.group() if first else ""
    if name in flags:
        return f"{flags[name]} says {name}: start lgs up with another"
    if name in environment:
        return f"{name} is set in the environment of lgs up: set it anew, and start lgs up again"
    return None


def waiting(last_words: str, environment: Collection[str], made: Collection[str] = ()) -> str:
    """What is waited for after a start that failed with these words, and which variable may be wrong: one in
    the environment that `lgs` was started in changes with no file. `made` are the worker's variables, most of
    them set by the manifest.
    """
    files = "waiting for a change of the files"
    named = list(dict.fromkeys(_VARIABLE.findall(last_words)))
    if given := [name for name in named if name in environment]:
        return f"{files}; if {given[0]} of the environment is wrong, set it anew and start lgs up again"
    if elsewhere := [name for name in named if name not in made]:
        return f"{files}; if {elsewhere[0]} belongs in the environment, set it there and start lgs up again"
    return files


def is_noted(record: Mapping[str, Any], notes: Sequence[str]) -> bool:
    """Whether the notes of `lgs` on langgraph.json already say the same: a missing file, an unknown key."""
    found = {"config.env_file_missing": [record.get("file")], "config.unknown_keys": record.get("keys", ())}
    names = found.get(record["event"], ())
    return (
        isinstance(names, list)
        and bool(names)
        and all(any(f": {name}: " in note for note in notes) for name in names)
    )


def _lines(written: str) -> list[str]:
    record = record_of(written)
    if record is None:
        return [written] if written.strip() else []
    if str(record.get("level")) not in SERIOUS:
        return []
    return [first_line(record), *str(record.get("exception", "")).splitlines()]


def first_line(record: Mapping[str, Any]) -> str:
    """A record as one line, without its traceback."""
    shown = {
        name: value
        for name, value in record.items()
        if name not in ("event", "level", "timestamp", "exception")
    }
    words = " ".join(f"{name}={value}" for name, value in shown.items())
    return f"{record.get('level')}: {record['event']} {words}".replace("\n", " ").rstrip()


def record_of(written: str) -> Mapping[str, Any] | None:
    """The record in a line of JSON; None if the line is none."""
    if not written.startswith("{"):
        return None
    try:
        record = json.loads(written)
    except (ValueError, RecursionError):
        return None
    # The application's code writes to the same log.
    return record if isinstance(record, dict) and isinstance(record.get("event"), str) else None
