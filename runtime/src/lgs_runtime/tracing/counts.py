"""Counts what became of the spans, for `/metrics`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from threading import Lock
from typing import Final, Literal

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

Result = Literal["sent", "queue_full", "failed"]
RESULTS: Final[tuple[Result, ...]] = ("sent", "queue_full", "failed")


class SpanCounts(Collector):
    """Counts spans from whichever thread ends or sends them."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._spans: Counter[Result] = Counter()

    def add(self, result: Result, spans: int = 1) -> None:
        """Counts spans that were sent, dropped because too many waited, or failed to reach the collector."""
        with self._lock:
            self._spans[result] += spans

    def of(self, result: Result) -> int:
        """The count of a result so far."""
        with self._lock:
            return self._spans[result]

    def collect(self) -> Iterable[Metric]:
        """Every series, from the start."""
        shown = CounterMetricFamily("lgs_trace_spans", "Spans by what became of them.", labels=["result"])
        for result in RESULTS:
            shown.add_metric([result], self.of(result))
        return [shown]
