"""Metrics of requests by route at `/metrics`: number, status and duration, and how many are in progress."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from lgs_runtime.series import OTHER, Series

BUCKETS: Final = (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0)
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class RequestMetrics(Collector):
    """The counts of one replica."""

    def __init__(self) -> None:
        requests = Counter(
            "lgs_http_requests", "Requests that ended.", ["method", "route", "status"], registry=None
        )
        seconds = Histogram(
            "lgs_http_request_seconds",
            "From a request to the end of its answer.",
            ["route"],
            registry=None,
            buckets=BUCKETS,
        )
        self._in_progress = Gauge(
            "lgs_http_requests_in_progress", "Requests that are being answered.", registry=None
        )
        self._requests, self._seconds = Series(requests), Series(seconds)

    def began(self) -> None:
        """Counts a request that has begun."""
        self._in_progress.inc()

    def ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """Counts a request that was answered, or whose client went away. `route`: the path as declared, with
        its parameters."""
        self._in_progress.dec()
        self._requests.of(method if method in METHODS else OTHER, route, str(status)).inc()
        self._seconds.of(route).observe(seconds)

    def collect(self) -> Iterable[Metric]:
        """The metrics; no series for a route that was never requested."""
        for each in (self._requests.metric, self._seconds.metric, self._in_progress):
            yield from each.collect()
