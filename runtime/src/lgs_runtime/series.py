"""The series of a page of metrics: which are asked for by name (`/metrics?name[]=…`, as Prometheus' clients
have it), and how many labels there may be whose values others choose."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from threading import Lock
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

OTHER: Final = "other"
UNKNOWN: Final = "unknown"
LONGEST_LABEL: Final = 100


class Named(Collector):
    """What the client's `restricted_registry` shows, and the series of collectors that name none before they
    are asked, as that of the process."""

    def __init__(self, of: Collector, names: Collection[str]) -> None:
        self._of = of
        self._names = frozenset(names)

    def collect(self) -> Iterable[Metric]:
        """Each family that has such series, with those alone."""
        for family in self._of.collect():
            samples = [each for each in family.samples if each.name in self._names]
            if samples:
                shown = Metric(family.name, family.documentation, family.type, family.unit)
                shown.samples = samples
                yield shown


class FewLabels:
    """Bounds the label values that are told apart: after the first `most` different ones of a graph and its
    model, say, the last of a further one is `other`. Safe from any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._known: set[tuple[str, ...]] = set()

    def of(self, *values: str) -> tuple[str, ...]:
        """The values as they may be labels: none empty, none longer than `LONGEST_LABEL`."""
        labels = tuple(value[:LONGEST_LABEL] or UNKNOWN for value in values)
        with self._lock:
            if labels not in self._known:
                if len(self._known) >= self._most:
                    return (*labels[:-1], OTHER)
                self._known.add(labels)
        return labels
