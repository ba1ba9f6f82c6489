"""The cache's counts by namespace: a node of a graph, or a function. Namespaces beyond the first
`MOST_NAMESPACES` share one row: a label whose values users can make would grow for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Final, Literal

import structlog

MOST_NAMESPACES: Final = 200
OTHERS: Final = "(others)"
REDIS: Final = "(redis)"
"""The row for what Redis did not answer."""
ALL: Final = "(all)"
"""The row for values deleted from all namespaces at once."""
RESERVED: Final = frozenset({OTHERS, REDIS, ALL})
"""Names of rows that are not namespaces."""
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Counts:
    """The counts of one namespace since the replica started."""

    hits: int = 0
    misses: int = 0
    stale: int = 0
    """Hits of expired values, which were returned while one caller recomputed them."""
    sets: int = 0
    deletes: int = 0
    errors: int = 0
    waits: int = 0
    """Callers that waited for another's computation instead of computing."""
    refreshes: int = 0
    """Values that were recomputed in the background."""
    ahead: int = 0
    """Those among them whose old value was still fresh."""
    computed_seconds: float = 0.0
    """Seconds that computing the values took, in total."""
    bytes: int = 0
    """Bytes of the values stored, after compression."""
    bytes_saved: int = 0
    """Bytes saved by compression."""

    @property
    def hit_rate(self) -> float | None:
        """The share of lookups that found something; None before the first."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None

    @property
    def cost(self) -> float:
        """Mean time to compute a value, in seconds."""
        return self.computed_seconds / self.sets if self.sets else 0.0

    def to_json(self) -> dict[str, int | float | None]:
        """The counts for people to read, as JSON types."""
        fields = asdict(self) | {"computed_seconds": round(self.computed_seconds, 3)}
        return {**fields, "hit_rate": self.hit_rate}


@dataclass(slots=True)
class WarmupCounts:
    """The outcomes of the inputs that are run before the replica takes work."""

    state: Literal["none", "running", "done"] = "none"
    named: int = 0
    done: int = 0
    failed: int = 0
    seconds: float = 0.0

    @property
    def left(self) -> int:
        """Inputs that had not ended when the time was up."""
        return self.named - self.done - self.failed

    def to_json(self) -> dict[str, object]:
        """The counts for people to read, as JSON types."""
        return {**asdict(self), "left": self.left}


class Statistics:
    """Counts by namespace. Additions take no lock: when two threads race, one may be lost."""

    def __init__(self, most_namespaces: int = MOST_NAMESPACES) -> None:
        self._counts: dict[str, Counts] = {}
        self._told: set[tuple[str, str]] = set()
        self._most = most_namespaces
        self._lock = threading.Lock()

    def of(self, namespace: str) -> Counts:
        """The counts of a namespace, to add to."""
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
        """Namespaces and their counts, sorted by name."""
        yield from sorted(self._counts.items())

    def total(self) -> Counts:
        """The counts of all namespaces together."""
        total = Counts()
        for _, counts in self.rows():
            for name, count in asdict(counts).items():
                setattr(total, name, getattr(total, name) + count)
        return total

    def to_json(self) -> Mapping[str, object]:
        """All counts for people to read, as JSON types."""
        return {
            "total": self.total().to_json(),
            "namespaces": {name: counts.to_json() for name, counts in self.rows()},
        }
