"""The cache's counts as metrics. They are read at scrape time, so that a cache hit pays nothing for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.cache.statistics import WarmupCounts

RESULTS: Final = {
    "hit": "hits",
    "miss": "misses",
    "stale": "stale",
    "set": "sets",
    "delete": "deletes",
    "error": "errors",
    "wait": "waits",
    "refresh": "refreshes",
    "ahead": "ahead",
}
"""The attribute of `Counts` for each value of the label `result`."""


class CacheCollector(Collector):
    """The metrics of one manager."""

    def __init__(self, manager: CacheManager) -> None:
        self._manager = manager

    def collect(self) -> Iterator[Metric]:
        """Counts by namespace, and what memory holds now."""
        labels = ["namespace"]
        operations = CounterMetricFamily(
            "lgs_cache_operations", "Cache operations.", labels=[*labels, "result"]
        )
        stored = CounterMetricFamily("lgs_cache_stored_bytes", "Bytes of values stored.", labels=labels)
        saved = CounterMetricFamily("lgs_cache_saved_bytes", "Bytes saved by compression.", labels=labels)
        for namespace, counts in self._manager.statistics.rows():
            for result, name in RESULTS.items():
                operations.add_metric([namespace, result], getattr(counts, name))
            stored.add_metric([namespace], counts.bytes)
            saved.add_metric([namespace], counts.bytes_saved)
        yield from (operations, stored, saved)
        factors = GaugeMetricFamily(
            "lgs_cache_ttl_factor", "How many times as long values live, as tuned.", labels=labels
        )
        computed = CounterMetricFamily(
            "lgs_cache_computed_seconds", "Seconds that computing values took.", labels=labels
        )
        for namespace, counts in self._manager.statistics.rows():
            computed.add_metric([namespace], counts.computed_seconds)
        for namespace, factor in self._manager.learner.factors().items():
            factors.add_metric([namespace], factor)
        yield from (computed, factors)
        yield from _of_warmup(self._manager.warmup)
        memory = self._manager.memory
        yield GaugeMetricFamily("lgs_cache_memory_entries", "Values in memory.", value=len(memory))
        yield GaugeMetricFamily("lgs_cache_memory_bytes", "Their bytes.", value=memory.bytes)
        up = {"none": 0, "away": 0, "up": 1}[self._manager.redis]
        yield GaugeMetricFamily("lgs_cache_redis_up", "Whether the cache's Redis answered.", value=up)


def _of_warmup(counts: WarmupCounts) -> Iterator[Metric]:
    if counts.state == "none":
        return
    inputs = GaugeMetricFamily("lgs_cache_warmup_inputs", "Inputs of the warm-up.", labels=["result"])
    for result in ("done", "failed", "left"):
        inputs.add_metric([result], getattr(counts, result))
    yield inputs
    yield GaugeMetricFamily("lgs_cache_warmup_seconds", "How long the warm-up took.", value=counts.seconds)
