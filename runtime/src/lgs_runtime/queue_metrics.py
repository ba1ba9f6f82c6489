"""Gauges of the queue at `/metrics`: of the whole service, so they are the same on each replica.

They are shown only while the storage answers: an unknown queue is not an empty one.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge

from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.model import Priority, QueueDepth

DEPTH_SECONDS: Final = 1.0
"""Least time between two queries of the storage."""
DEPTH_TIMEOUT_SECONDS: Final = 2.0


class DepthSource(Protocol):
    """Source of the queue gauges."""

    async def depth(self) -> QueueDepth:
        """The present depth of the whole service's queue."""


class QueueGauges:
    """The queue gauges of one replica's page, in its registry."""

    def __init__(self, registry: CollectorRegistry, source: DepthSource) -> None:
        self._registry = registry
        self._source = source
        self._asked_at = float("-inf")
        self._lock = asyncio.Lock()
        self._shown: set[Gauge] = set()
        by = ["priority"]
        self._depth = Gauge("lgs_queue_depth", "Runs that wait and could be claimed.", by, registry=None)
        self._oldest = Gauge("lgs_queue_oldest_seconds", "Age of the oldest of them.", by, registry=None)
        self._blocked = Gauge("lgs_queue_blocked", "Runs that wait for thread or time.", registry=None)
        self._unserved = Gauge(
            "lgs_queue_unserved",
            "Runs that wait for a graph that no replica takes.",
            ["graph"],
            registry=None,
        )
        self._next_due = Gauge(
            "lgs_queue_next_due_seconds", "Until the next delayed run or cron is due.", registry=None
        )

    async def refresh(self, errors: Counter) -> None:
        """Asks the storage, at most once a second. `errors` counts failures, and answers that come late."""
        async with self._lock:
            if time.monotonic() - self._asked_at < DEPTH_SECONDS:
                return
            try:
                async with asyncio.timeout(DEPTH_TIMEOUT_SECONDS):
                    depth = await self._source.depth()
            except (StorageUnavailable, TimeoutError):
                errors.inc()
                for gauge in tuple(self._shown):
                    self._hide(gauge)
                return
            self._asked_at = time.monotonic()
        self._set(depth)

    def _set(self, depth: QueueDepth) -> None:
        for gauge in (self._depth, self._oldest, self._blocked, self._unserved):
            self._show(gauge)
        for priority in Priority:
            of = getattr(depth, priority.value)
            self._depth.labels(priority.value).set(of.waiting)
            self._oldest.labels(priority.value).set(of.oldest_seconds)
        self._blocked.set(depth.blocked)
        self._unserved.clear()
        for graph_id, runs in depth.unserved.items():
            self._unserved.labels(graph_id).set(runs)
        if depth.next_due_seconds is None:
            self._hide(self._next_due)
        else:
            self._show(self._next_due)
            self._next_due.set(max(0.0, depth.next_due_seconds))

    def _show(self, gauge: Gauge) -> None:
        if gauge not in self._shown:
            self._registry.register(gauge)
            self._shown.add(gauge)

    def _hide(self, gauge: Gauge) -> None:
        if gauge in self._shown:
            self._registry.unregister(gauge)
            self._shown.discard(gauge)
