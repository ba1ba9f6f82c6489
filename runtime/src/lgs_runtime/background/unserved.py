"""Ends runs that have waited too long for a graph that no replica takes, such as after a release that removed
it. Until then they wait visibly in the queue, and any new replica with their graph executes them.

The time counts only while this replica sees that no replica takes the graph. So a run that has waited long in
a busy queue is not ended by a gap between two releases.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from langgraph.checkpoint.base import BaseCheckpointSaver

from lgs_runtime.background.endings import publish_ending
from lgs_runtime.notifier import Notifier
from lgs_runtime.storage.contract import Storage
from lgs_runtime.streams.contract import StreamBroker

MOST_SECONDS = 60.0
TURNS_PER_WAIT = 4
log = structlog.get_logger(__name__)


class UnservedRuns:
    """A duty of each replica."""

    def __init__(
        self,
        storage: Storage,
        checkpointer: BaseCheckpointSaver[Any],
        streams: StreamBroker,
        notifier: Notifier,
        *,
        graphs: Sequence[str],
        wait_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`graphs`: ids of this replica's graphs, which it serves even if their circuit breakers are open
        now. `wait_seconds` 0: runs wait for ever."""
        self._storage = storage
        self._checkpointer = checkpointer
        self._streams = streams
        self._notifier = notifier
        self._graphs = graphs
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._since: Mapping[str, float] = {}

    @property
    def interval_seconds(self) -> float:
        """Seconds between two turns."""
        return min(MOST_SECONDS, self._wait_seconds / TURNS_PER_WAIT or MOST_SECONDS)

    async def turn(self) -> None:
        """Logs the graphs that no replica takes, and ends runs that have waited too long. Raises
        `StorageUnavailable`."""
        unserved, now = (await self._storage.queue.depth()).unserved, self._clock()
        if unserved:
            log.warning("queue.unserved", graphs=dict(unserved))
        self._since = {graph: self._since.get(graph, now) for graph in unserved}
        overdue = overdue_graphs(self._since, now, self._wait_seconds, self._graphs)
        if overdue:
            await self._end({graph: self._reason(graph) for graph in overdue})

    async def _end(self, reasons: Mapping[str, str]) -> None:
        while ended := await self._storage.queue.end_unserved(reasons, self._wait_seconds):
            for run in ended:
                log.warning("run.unserved", run_id=run.run_id, graph=run.graph_id, reason=run.error)
                await publish_ending(
                    run,
                    "GraphNotFound",
                    storage=self._storage,
                    checkpointer=self._checkpointer,
                    streams=self._streams,
                    notifier=self._notifier,
                )

    def _reason(self, graph: str) -> str:
        return (
            f"graph {graph!r} not found: for {self._wait_seconds:g} s no replica has taken its runs; the "
            f"graphs of this service are: {', '.join(self._graphs)}. Deploy the graph again, or raise "
            "workers.unservedSeconds"
        )


def overdue_graphs(
    since: Mapping[str, float], now: float, wait_seconds: float, own: Sequence[str]
) -> Sequence[str]:
    """The graphs that no replica has taken for `wait_seconds`. `since`: start of that time by graph; `own`:
    graphs of this replica, which are never overdue."""
    if not wait_seconds:
        return []
    return [graph for graph, seen in since.items() if now - seen >= wait_seconds and graph not in own]
