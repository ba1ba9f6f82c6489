"""Metrics of runs by graph at `/metrics`: how they ended, how long they took, and what their nodes raised."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from prometheus_client import Counter, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from lgs_runtime.series import FewLabels, Series

BUCKETS: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
MOST_GRAPHS: Final = 100
MOST_ERRORS: Final = 100
"""How many combinations of graph, node and error type are told apart."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What ended a run: the type of the exception, and the node that raised it (empty if none did)."""

    error: str
    node: str = ""


class GraphMetrics(Collector):
    """The counts of one replica."""

    def __init__(self) -> None:
        runs = Counter(
            "lgs_graph_runs", "Runs of a graph that ended here.", ["graph", "status"], registry=None
        )
        self._errors = Counter(
            "lgs_graph_errors",
            "Of them, those that an error ended.",
            ["graph", "node", "error"],
            registry=None,
        )
        seconds = Histogram(
            "lgs_graph_run_seconds",
            "From claimed to ended, of a graph's runs.",
            ["graph"],
            registry=None,
            buckets=BUCKETS,
        )
        self._runs, self._seconds = Series(runs), Series(seconds)
        self._graphs, self._failures = FewLabels(MOST_GRAPHS), FewLabels(MOST_ERRORS)

    def ended(self, graph_id: str, status: str, seconds: float, failure: Failure | None = None) -> None:
        """Counts a run that ended `seconds` after it was claimed."""
        (graph,) = self._graphs.of(graph_id)
        self._runs.of(graph, status).inc()
        self._seconds.of(graph).observe(max(0.0, seconds))
        if failure is not None:
            self._errors.labels(*self._failures.of(graph, failure.node or "none", failure.error)).inc()

    def collect(self) -> Iterable[Metric]:
        """The metrics; no series for a graph of which no run has ended."""
        for each in (self._runs.metric, self._errors, self._seconds.metric):
            yield from each.collect()
