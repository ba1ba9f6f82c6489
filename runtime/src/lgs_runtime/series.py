"""The series of a page of metrics: which are asked for by name (`/metrics?name[]=…`, as Prometheus' clients
have it), and how many labels there may be whose values others choose."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from threading import Lock
from typing import Final, Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

OTHER: Final = "other"
UNKNOWN: Final = "unknown"
LONGEST_LABEL: Final = 100
Kind = TypeVar("Kind", bound=MetricWrapperBase)


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


class Series(Generic[Kind]):
    """The series of a metric by their label values. The client's `labels` makes texts of the values and takes
    a lock each time; a series that was found once is found here without."""

    def __init__(self, metric: Kind) -> None:
        self.metric = metric
        self._found: dict[tuple[str, ...], Kind] = {}

    def of(self, *values: str) -> Kind:
        """The series with these label values, in the order of the metric's labels."""
        found = self._found.get(values)
        if found is None:
            found = self._found[values] = self.metric.labels(*values)
        return found


class Tally(Collector):
    """A counter that only the event loop adds to, several times a run: without the locks and checks of the
    client's `Counter`."""

    def __init__(self, name: str, documentation: str) -> None:
        self.value = 0
        self._name = name
        self._documentation = documentation

    def collect(self) -> Iterable[Metric]:
        """The one series."""
        yield CounterMetricFamily(self._name, self._documentation, value=self.value)


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
