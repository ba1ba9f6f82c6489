"""The log of a worker as a person reads it: what went wrong, its warnings, and what it did not find. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

MOST_LINES: Final = 60
SERIOUS: Final = frozenset({"warning", "error", "critical"})
_MISSING: Final = re.compile(r"No module named '([\w.]+)'")


def readable(log: Sequence[str]) -> list[str]:
    """The lines of a log that say what went wrong, each record on a line with its traceback below it. What is
    only worth knowing is left out; of much, the end.
    """
    lines = [line for written in log for line in _lines(written.rstrip())]
    kept = lines[-MOST_LINES:]
    return kept if len(kept) == len(lines) else [f"… {len(lines) - len(kept)} lines before this", *kept]


def warned(log: Sequence[str], notes: Sequence[str] = ()) -> list[str]:
    """The warnings of a log, each once, but for those that `notes` say already."""
    records = [(written, _record(written) or {}) for written in log]
    warnings = [
        written
        for written, record in records
        if record.get("level") == "warning" and not _is_noted(record, notes)
    ]
    return list(dict.fromkeys(line for written in warnings for line in _lines(written.rstrip())))


def missing_module(log: Sequence[str]) -> str | None:
    """The package that an import did not find, the last one that is named."""
    found = [match.group(1) for line in log for match in _MISSING.finditer(line)]
    return found[-1].partition(".")[0] if found else None


def _is_noted(record: Mapping[str, Any], notes: Sequence[str]) -> bool:
    """Whether `lgs` has found the same in langgraph.json: a missing file, an unknown key."""
    found = {"config.env_file_missing": [record.get("file")], "config.unknown_keys": record.get("keys", ())}
    names = found.get(record["event"], ())
    return bool(names) and all(any(f": {name}: " in note for note in notes) for name in names)


def _lines(written: str) -> list[str]:
    record = _record(written)
    if record is None:
        return [written] if written.strip() else []
    if record.get("level") not in SERIOUS:
        return []
    shown = {
        name: value
        for name, value in record.items()
        if name not in ("event", "level", "timestamp", "exception")
    }
    words = " ".join(f"{name}={value}" for name, value in shown.items())
    first = f"{record['level']}: {record['event']} {words}".rstrip()
    return [first, *str(record.get("exception", "")).splitlines()]


def _record(written: str) -> Mapping[str, Any] | None:
    if not written.startswith("{"):
        return None
    try:
        record = json.loads(written)
    except json.JSONDecodeError:
        return None
    return record if isinstance(record, dict) and "event" in record else None
