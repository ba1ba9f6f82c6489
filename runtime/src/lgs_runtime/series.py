"""Series of a metrics page: selection by name (`/metrics?name[]=…`, as in Prometheus' clients), fast access,
and a bound on label values that others choose."""

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
    """Restricts a collector to named series. Unlike the client's `restricted_registry`, it also finds series
    of collectors that do not declare their names in advance, such as that of the process."""

    def __init__(self, of: Collector, names: Collection[str]) -> None:
        self._of = of
        self._names = frozenset(names)

    def collect(self) -> Iterable[Metric]:
        """The families that have series of these names, with those series only."""
        for family in self._of.collect():
            samples = [each for each in family.samples if each.name in self._names]
            if samples:
                shown = Metric(family.name, family.documentation, family.type, family.unit)
                shown.samples = samples
                yield shown


class Series(Generic[Kind]):
    """The series of a metric by their label values. The client's `labels` converts the values to text and
    takes a lock each time; here a series that was found once is found again without either."""

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
    """A counter without the locks and checks of the client's `Counter`. Only the event loop adds to it,
    several times for each run."""

    def __init__(self, name: str, documentation: str) -> None:
        self.value = 0
        self._name = name
        self._documentation = documentation

    def collect(self) -> Iterable[Metric]:
        """The one series."""
        yield CounterMetricFamily(self._name, self._documentation, value=self.value)


class FewLabels:
    """Bounds how many combinations of label values are told apart, such as graph and model: after the first
    `most` combinations, the last value of any further one becomes `other`. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = Lock()
        self._known: set[tuple[str, ...]] = set()

    def of(self, *values: str) -> tuple[str, ...]:
        """The values made fit for labels: none is empty or longer than `LONGEST_LABEL`."""
        labels = tuple(value[:LONGEST_LABEL] or UNKNOWN for value in values)
        with self._lock:
            if labels not in self._known:
                if len(self._known) >= self._most:
                    return (*labels[:-1], OTHER)
                self._known.add(labels)
        return labels
