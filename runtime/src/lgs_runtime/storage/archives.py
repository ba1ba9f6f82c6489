"""The format of thread records that leave a database and are restored, perhaps in another kind of database.

A record is plain JSON: the columns of its row by name, as listed in `TABLES`; times are ISO 8601. Every
record from outside goes through `checked` before a database sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from lgs_runtime.errors import InvalidRequest
from lgs_runtime.model import Json

TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    "thread": {
        "thread_id": "text",
        "metadata": "json",
        "config": "json",
        "rest": "text",
        "runs": "int",
        "values": "json?",
        "interrupts": "json",
        "error": "text?",
        "ttl_seconds": "seconds?",
        "ttl_strategy": "text?",
        "ttl_from": "time?",
        "created_at": "time",
        "updated_at": "time",
        "state_updated_at": "time",
        "versions": "int",
        "created_by": "text?",
        "level": "int?",
        "fairness_group": "text?",
    },
    "run": {
        "run_id": "text",
        "thread_id": "text",
        "seq": "int",
        "assistant_id": "text",
        "status": "text",
        "priority": "int",
        "rank": "number",
        "metadata": "json",
        "kwargs": "json",
        "multitask_strategy": "text",
        "delete_thread_after": "bool",
        "attempt": "int",
        "error": "text?",
        "cancel_requested": "text?",
        "claimed_at": "time?",
        "created_at": "time",
        "updated_at": "time",
        "due_at": "time",
        "ended_at": "time",
        "created_by": "text?",
        "version": "int?",
        "level": "int",
        "fairness_group": "text",
        "turn": "int",
        "thread_metadata": "json?",
    },
    "version": {
        "thread_id": "text",
        "version": "int",
        "checkpoint_id": "text",
        "run_id": "text?",
        "description": "text?",
        "metadata": "json",
        "interrupts": "json",
        "created_at": "time",
        "created_by": "text?",
    },
    "audit": {"thread_id": "text", "at": "time", "who": "text?", "what": "text", "details": "json"},
}
"""The columns kept of each table, with their kinds; a kind with `?` may be null."""

LONGEST_SECONDS: Final = 100 * 366 * 86400
CHOICES: Final[Mapping[str, frozenset[Any]]] = {
    "rest": frozenset({"idle", "interrupted", "error"}),
    "status": frozenset({"error", "success", "timeout", "interrupted"}),
    "priority": frozenset({0, 1, 2}),
    "ttl_strategy": frozenset({"delete", "keep_latest"}),
}


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


FITS: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "text": (lambda value: isinstance(value, str), "a text"),
    "json": (lambda value: isinstance(value, dict), "an object"),
    "int": (lambda value: type(value) is int and abs(value) < 2**31, "a whole number of 32 bit"),
    "seconds": (
        lambda value: type(value) in (int, float) and 0 < value <= LONGEST_SECONDS,
        "more than 0, and at most a hundred years",
    ),
    "number": (lambda value: type(value) in (int, float), "a number"),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "time": (_is_time, "a time in ISO 8601 with its zone"),
}


@dataclass(frozen=True, slots=True)
class Record:
    """Everything stored about a thread, except its checkpoints."""

    thread: Json
    runs: Sequence[Json] = ()
    """The runs that have ended."""
    versions: Sequence[Json] = ()
    audit: Sequence[Json] = ()
    """The entries that can't be read from the records of the thread and its runs."""


def checked(table: str, row: Any, place: str) -> dict[str, Any]:
    """Returns the columns of a row from outside. Raises `InvalidRequest`, naming `place` and the column."""
    if not isinstance(row, dict):
        raise InvalidRequest(f"{place}: {type(row).__name__}: must be an object")
    for name, kind in TABLES[table].items():
        value, (fits, rule) = row.get(name), FITS[kind.rstrip("?")]
        if value is None and kind.endswith("?"):
            continue
        if not fits(value) or (name in CHOICES and value not in CHOICES[name]):
            rule = f"one of {sorted(CHOICES[name])}" if name in CHOICES else rule
            raise InvalidRequest(f"{place}: {table}.{name}: {value!r:.80}: must be {rule}")
    return {name: row.get(name) for name in TABLES[table]}
