"""Measures the service once a second during the play: replicas, memory, processor time, and every few
seconds their metrics, which cost them more.

What a replica has counted is kept when it is gone, as it was seen last.
"""

from __future__ import annotations

import re
import threading
import time
from collections import defaultdict
from itertools import count as numbers
from typing import Final

from bench.centre.account import Sample
from bench.centre.service import Centre
from bench.processes import PROC, TICKS, cpu_seconds, resident_mib

EVERY_SECONDS: Final = 1.0
PAGE_EVERY: Final = 5
"""One measurement in so many also reads `/metrics`."""
_LOOKUPS: Final = re.compile(
    r'^lgs_cache_operations_total\{namespace="([^"]*)",result="(hit|miss)"\} (\S+)$', re.MULTILINE
)


class Watch:
    """`samples` grow while it watches; `began` is the monotonic time of the play's begin."""

    def __init__(self, centre: Centre, players: int, began: float) -> None:
        self._centre = centre
        self._players = players
        self._began = began
        self._lookups: dict[str, dict[str, tuple[int, int]]] = {}
        self._at_begin = self._cpu()
        self._machine = machine_seconds()
        self.samples: list[Sample] = []
        self.look()
        self._before = dict(self._lookups)

    def lookups(self) -> dict[str, tuple[int, int]]:
        """Hits and misses by namespace since the play began, of all replicas, also of those that are gone."""
        found: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for replica, counted in self._lookups.items():
            before = self._before.get(replica, {})
            for namespace, (hits, misses) in counted.items():
                early_hits, early_misses = before.get(namespace, (0, 0))
                sum_hits, sum_misses = found[namespace]
                found[namespace] = (sum_hits + hits - early_hits, sum_misses + misses - early_misses)
        return dict(found)

    def look(self) -> None:
        """One measurement of everything."""
        self.count()
        self._sample()

    def count(self) -> None:
        """Asks each replica what it has counted."""
        for replica in self._centre.replicas():
            if (page := replica.get("/metrics", 2.0)) is not None:
                self._lookups[replica.name] = lookups_of(page)

    def _sample(self) -> None:
        used = {name: now - self._at_begin.get(name, 0.0) for name, now in self._cpu().items()}
        each = [resident_mib([replica.pid]) for replica in self._centre.replicas()]
        memory = {"replicas": sum(each), "largest replica": max(each, default=0.0)}
        memory["Redis"] = resident_mib([self._centre.redis.pid])
        at, machine = time.monotonic() - self._began, machine_seconds() - self._machine
        self.samples.append(Sample(at, self._centre.ready(), used, machine, memory))

    def _cpu(self) -> dict[str, float]:
        return {**self._centre.cpu(), "customers": cpu_seconds([self._players])}

    def watch(self, over: threading.Event) -> None:
        """Until then."""
        for number in numbers():
            if over.wait(EVERY_SECONDS):
                return
            if number % PAGE_EVERY == 0:
                self.count()
            self._sample()


def lookups_of(page: str) -> dict[str, tuple[int, int]]:
    """Hits and misses by namespace on a page of metrics."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: {"hit": 0, "miss": 0})
    for namespace, result, value in _LOOKUPS.findall(page):
        found[namespace][result] = int(float(value))
    return {namespace: (each["hit"], each["miss"]) for namespace, each in found.items()}


def machine_seconds() -> float:
    """Processor time that all processes of the machine have used, since it started."""
    fields = (PROC / "stat").read_text().partition("\n")[0].split()[1:9]
    user, nice, system, _idle, _wait, irq, softirq, _steal = map(int, fields)
    return (user + nice + system + irq + softirq) / TICKS
