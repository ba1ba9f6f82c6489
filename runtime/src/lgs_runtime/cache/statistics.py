"""What the cache counts, by namespace: a node of a graph, or a function. Of namespaces beyond the first so
many, one row counts the rest: a label that users can make would grow for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Final, Literal

import structlog

MOST_NAMESPACES: Final = 200
OTHERS: Final = "(others)"
REDIS: Final = "(redis)"
"""The row of what Redis did not answer."""
ALL: Final = "(all)"
"""The row of what was forgotten of all namespaces at once."""
RESERVED: Final = frozenset({OTHERS, REDIS, ALL})
"""Rows that are no namespaces."""
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Counts:
    """The counts of one namespace since the replica started."""

    hits: int = 0
    misses: int = 0
    stale: int = 0
    """Hits whose time was up, answered while one caller computes anew."""
    sets: int = 0
    deletes: int = 0
    errors: int = 0
    waits: int = 0
    """Callers that waited for another's computation instead of computing."""
    refreshes: int = 0
    """Values that were computed anew beside the calls."""
    ahead: int = 0
    """Of these, those whose old value was still fresh."""
    computed_seconds: float = 0.0
    """How long the computations of the values took, together."""
    bytes: int = 0
    """Of values stored, as they are stored."""
    bytes_saved: int = 0
    """By compression."""

    @property
    def hit_rate(self) -> float | None:
        """The share of lookups that found something; None before the first."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None

    @property
    def cost(self) -> float:
        """How long it takes to compute a value, in seconds."""
        return self.computed_seconds / self.sets if self.sets else 0.0

    def to_json(self) -> dict[str, int | float | None]:
        """As people read it."""
        fields = asdict(self) | {"computed_seconds": round(self.computed_seconds, 3)}
        return {**fields, "hit_rate": self.hit_rate}


@dataclass(slots=True)
class WarmupCounts:
    """What became of the inputs that were to be run before the replica took work."""

    state: Literal["none", "running", "done"] = "none"
    named: int = 0
    done: int = 0
    failed: int = 0
    seconds: float = 0.0

    @property
    def left(self) -> int:
        """Those that had not ended when the time was up."""
        return self.named - self.done - self.failed

    def to_json(self) -> dict[str, object]:
        """As people read it."""
        return {**asdict(self), "left": self.left}


class Statistics:
    """Counts by namespace. Counting is an addition under the interpreter's lock: in a race of two threads one
    may be lost."""

    def __init__(self, most_namespaces: int = MOST_NAMESPACES) -> None:
        self._counts: dict[str, Counts] = {}
        self._told: set[tuple[str, str]] = set()
        self._most = most_namespaces
        self._lock = threading.Lock()

    def of(self, namespace: str) -> Counts:
        """The counts of a namespace, to be added to."""
        found = self._counts.get(namespace)
        if found is not None:
            return found
        with self._lock:
            name = namespace if len(self._counts) < self._most else OTHERS
            return self._counts.setdefault(name, Counts())

    def failed(self, namespace: str, event: str, reason: str) -> None:
        """Counts an error, and logs the first of its kind in a namespace."""
        self.of(namespace).errors += 1
        if (namespace, event) not in self._told and len(self._told) < self._most:
            self._told.add((namespace, event))
            log.warning(event, namespace=namespace, reason=reason)

    def rows(self) -> Iterator[tuple[str, Counts]]:
        """Namespaces and counts, by name."""
        yield from sorted(self._counts.items())

    def total(self) -> Counts:
        """The counts of all namespaces together."""
        total = Counts()
        for _, counts in self.rows():
            for name, count in asdict(counts).items():
                setattr(total, name, getattr(total, name) + count)
        return total

    def to_json(self) -> Mapping[str, object]:
        """All of it, as people read it."""
        return {
            "total": self.total().to_json(),
            "namespaces": {name: counts.to_json() for name, counts in self.rows()},
        }
