"""The metrics of this replica at `/metrics`: those that the autoscaler reads, and those for people.

They only observe: the worker and the API report what happened, and nothing is decided here. Each instance has
its own registry, so that two replicas can live in one process. Times are in seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.registry import Collector

from lgs_runtime.application_metrics import END, ApplicationMetrics, Write
from lgs_runtime.graph_metrics import GraphMetrics
from lgs_runtime.model import Priority, TtlStrategy
from lgs_runtime.model_usage import ModelUsage
from lgs_runtime.pin_metrics import PinMetrics
from lgs_runtime.queue_metrics import DepthSource, QueueGauges
from lgs_runtime.request_metrics import RequestMetrics
from lgs_runtime.series import Named, Series, Tally

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LAG_WINDOW_SECONDS = 5.0
LAG_SAMPLE_SECONDS = 0.1
WAIT_BUCKETS = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
    900.0,
)
RUN_BUCKETS = (
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.0,
    3.0,
    5.0,
    10.0,
    20.0,
    30.0,
    60.0,
    300.0,
    900.0,
    3600.0,
)
Exemplar = dict[str, str]
"""The trace that a value belongs to. Only OpenMetrics shows it."""


class Metrics:
    """The metrics of one replica. `start` samples the event loop until `close`."""

    def __init__(self, concurrency: int, depth: DepthSource | None = None) -> None:
        self.registry = CollectorRegistry()
        self._queue = None if depth is None else QueueGauges(self.registry, depth)
        self._lags: deque[tuple[float, float]] = deque()
        self._sampler: asyncio.Task[None] | None = None
        self.released_total = 0
        self.models, self.graphs, self.requests = ModelUsage(), GraphMetrics(), RequestMetrics()
        self.pins = PinMetrics()
        self._application = ApplicationMetrics()
        self._declare()
        self._slots.set(concurrency)
        for priority in Priority:
            # Every series exists from the start: a rate of nothing is 0, not missing.
            for counter in (self._arrived, self._rejected):
                counter.of(priority.value)
            self._wait.of(priority.value)
        for status in ("success", "error", "timeout", "interrupted"):
            self._finished.of(status)
        for strategy in get_args(TtlStrategy):
            self._expired.labels(strategy)

    def _declare(self) -> None:
        to = self.registry
        p = ["priority"]
        arrived = Counter("lgs_runs_arrived", "Runs acknowledged by this replica.", p, registry=to)
        rejected = Counter("lgs_runs_rejected", "Runs refused: queue full.", p, registry=to)
        finished = Counter("lgs_runs_finished", "Runs ended here.", ["status"], registry=to)
        self._resumed = Counter("lgs_runs_resumed", "Runs that went on from a checkpoint.", registry=to)
        self._released = Counter("lgs_runs_released", "Runs handed back unfinished.", registry=to)
        self._lost = Counter("lgs_leases_lost", "Leases of this replica that ran out.", registry=to)
        self._reaped = Counter("lgs_runs_reaped", "Runs taken from dead replicas.", registry=to)
        self._slots = Gauge("lgs_slots", "Runs this replica may execute at a time.", registry=to)
        self._in_use = Gauge("lgs_slots_in_use", "Runs it executes now.", registry=to)
        self._draining = Gauge("lgs_draining", "1 from SIGTERM on.", registry=to)
        self._lag = Gauge("lgs_event_loop_lag_seconds", "Largest lag in the last 5 s.", registry=to)
        wait = Histogram("lgs_run_wait_seconds", "From due to claimed.", p, registry=to, buckets=WAIT_BUCKETS)
        self._arrived, self._rejected, self._finished = Series(arrived), Series(rejected), Series(finished)
        self._wait = Series(wait)
        self._execution = Histogram(
            "lgs_run_execution_seconds", "From claimed to ended.", registry=to, buckets=RUN_BUCKETS
        )
        self._latency = Histogram(
            "lgs_run_latency_seconds", "From due to ended.", registry=to, buckets=RUN_BUCKETS
        )
        self._events = Tally("lgs_stream_events", "Stream events published.")
        self._stream_errors = Counter("lgs_stream_errors", "Publications that failed.", registry=to)
        self._expired = Counter("lgs_threads_expired", "Their TTL had passed.", ["strategy"], registry=to)
        self._checkpoints_pruned = Counter("lgs_checkpoints_pruned", "Checkpoints pruned.", registry=to)
        self._versions_pruned = Counter("lgs_versions_pruned", "Versions of threads pruned.", registry=to)
        self._depth_errors = Counter("lgs_queue_depth_errors", "Depths not had in time.", registry=to)
        for series in (self.models, self.graphs, self.requests, self._events, self._application.errors):
            to.register(series)
        to.register(self.pins)
        ProcessCollector(registry=to)
        PlatformCollector(registry=to)
        GCCollector(registry=to)

    def arrived(self, priority: Priority) -> None:
        """Counts a run that was acknowledged here."""
        self._arrived.of(priority.value).inc()

    def rejected(self, priority: Priority) -> None:
        """Counts a run that was refused because its queue is full."""
        self._rejected.of(priority.value).inc()

    def claimed(self, priority: Priority, wait_seconds: float, exemplar: Exemplar | None = None) -> None:
        """Records a run that was claimed here, `wait_seconds` after it was due."""
        self._wait.of(priority.value).observe(max(0.0, wait_seconds), exemplar)

    def finished(
        self,
        status: str,
        execution_seconds: float,
        latency_seconds: float,
        exemplar: Exemplar | None = None,
    ) -> None:
        """Records a run that ended here."""
        self._finished.of(status).inc()
        self._execution.observe(max(0.0, execution_seconds), exemplar)
        self._latency.observe(max(0.0, latency_seconds), exemplar)

    def resumed(self) -> None:
        """Counts a run that continued from a checkpoint of an earlier attempt."""
        self._resumed.inc()

    def released(self, runs: int) -> None:
        """Counts runs that were handed back unfinished."""
        self.released_total += runs
        self._released.inc(runs)

    def reaped(self, runs: int) -> None:
        """Counts runs that were taken from dead replicas."""
        self._reaped.inc(runs)

    def lease_lost(self) -> None:
        """Counts an expiry of this replica's lease."""
        self._lost.inc()

    def watch_slots(self, used: Callable[[], int]) -> None:
        """`used` returns how many runs execute here now. It is called each time the page is requested."""
        self._in_use.set_function(used)

    def draining(self) -> None:
        """Notes that the drain has begun."""
        self._draining.set(1)

    def published(self, events: int) -> None:
        """Counts stream events that went to the broker."""
        self._events.value += events

    def publish_failed(self) -> None:
        """Counts a batch of events that the broker did not take."""
        self._stream_errors.inc()

    def expired(self, strategy: TtlStrategy, threads: int) -> None:
        """Counts threads whose time to live had passed: they were deleted, or kept only their latest
        state."""
        self._expired.labels(strategy).inc(threads)

    def pruned(self, checkpoints: int, versions: int) -> None:
        """Counts checkpoints and versions that were deleted from a thread's history; the thread remains."""
        self._checkpoints_pruned.inc(checkpoints)
        self._versions_pruned.inc(versions)

    def show(self, series: Collector) -> None:
        """Adds another collector to the page; it is read each time the page is requested."""
        self.registry.register(series)

    async def start(self) -> None:
        """Starts to sample the lag of the event loop."""
        self._sampler = asyncio.create_task(self._sample_lag(), name="event-loop-lag")

    async def close(self) -> None:
        """Ends the sampling."""
        if self._sampler is not None:
            self._sampler.cancel()
            await asyncio.gather(self._sampler, return_exceptions=True)

    async def render(self, write: Write = generate_latest, names: Collection[str] = ()) -> bytes:
        """The page in the format of `write` (the Prometheus text by default), with the application's own
        metrics; limited to the series in `names` if there are any. Asks the storage for the queue at most
        once a second; if that does not answer, the queue gauges are left out, not shown stale or as zero."""
        theirs = await self._application.text(write, names)
        if self._queue is not None:
            await self._queue.refresh(self._depth_errors)
        now = time.monotonic()
        self._forget_lags(now)
        self._lag.set(max((lag for _, lag in self._lags), default=0.0))
        page = write(Named(self.registry, names) if names else self.registry)
        return page if not theirs else page.removesuffix(END) + theirs + (END if page.endswith(END) else b"")

    def _forget_lags(self, now: float) -> None:
        while self._lags and self._lags[0][0] < now - LAG_WINDOW_SECONDS:
            self._lags.popleft()

    async def _sample_lag(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(LAG_SAMPLE_SECONDS)
            now = time.monotonic()
            self._lags.append((now, max(0.0, now - before - LAG_SAMPLE_SECONDS)))
            self._forget_lags(now)
