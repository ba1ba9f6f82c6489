"""What is pinned to each revision at `/metrics`: of the whole service, so it is the same on each replica."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from lgs_runtime.model import Pinned


class PinMetrics(Collector):
    """The series about pinned threads. There are none where threads are not pinned, and no gauges while the
    storage is silent: what is not known is not zero."""

    def __init__(self) -> None:
        self._pinned: Sequence[Pinned] = ()
        self._moved: dict[str, int] = {}

    def set(self, pinned: Sequence[Pinned]) -> None:
        """Shows this count; none: it is not known."""
        self._pinned = pinned
        for each in pinned:
            if each.moved:
                self._moved[each.revision] = self._moved.get(each.revision, 0) + each.moved

    def collect(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily]:
        by = ["revision"]
        threads = GaugeMetricFamily(
            "lgs_pinned_threads", "Interrupted threads that are pinned to a revision.", labels=by
        )
        runs = GaugeMetricFamily(
            "lgs_pinned_runs", "Unfinished runs that are pinned to a revision.", labels=by
        )
        moved = CounterMetricFamily(
            "lgs_pins_moved", "Threads and runs whose revision was gone, freed by this replica.", labels=by
        )
        for each in self._pinned:
            threads.add_metric([each.revision], each.threads)
            runs.add_metric([each.revision], each.runs)
        for revision, count in self._moved.items():
            moved.add_metric([revision], count)
        return [family for family in (threads, runs, moved) if family.samples]
