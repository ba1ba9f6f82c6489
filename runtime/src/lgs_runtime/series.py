"""Of what a registry collects, the series that are asked for by name: `/metrics?name[]=…`, as Prometheus'
clients have it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from prometheus_client.core import Metric
from prometheus_client.registry import Collector


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
