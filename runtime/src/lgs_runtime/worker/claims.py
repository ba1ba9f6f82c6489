"""Which runs this replica claims: those of all its graphs, except graphs whose circuit breaker is open. If it
is half-open, the replica claims as many runs as it lets through, as probes of whether the graph works again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lgs_runtime.graphs.circuits import GraphCircuits, RunPermit
from lgs_runtime.model import Run
from lgs_runtime.storage.contract import Queue


class Claimed(NamedTuple):
    """A run that this replica has claimed. `permit`: the circuit's permit, if the run is a probe."""

    run: Run
    permit: RunPermit | None = None


class Claims:
    """The claims of one replica."""

    def __init__(self, queue: Queue, replica: str, graphs: Sequence[str], circuits: GraphCircuits) -> None:
        self._queue = queue
        self._replica = replica
        self._graphs = graphs
        self._circuits = circuits
        self._declared: Sequence[str] | None = None
        """The graphs that the storage was told this replica takes. None: all of them, as with a new lease."""

    def lease_lost(self) -> None:
        """Notes that the lease is a new one, which declares all graphs."""
        self._declared = None

    async def claim(self, slots: int) -> Sequence[Claimed]:
        """Claims up to `slots` runs; probes first, since they are few. Raises `StorageUnavailable`; runs that
        were claimed before the failure are found later in the storage's record, and are not probes."""
        claimed: list[Claimed] = []
        taken = self._circuits.taken(self._graphs)
        await self._declare(taken)
        try:
            for graph in self._circuits.not_closed():
                claimed += await self._probe(graph, slots - len(claimed))
            left = slots - len(claimed)
            if left > 0 and (taken is None or taken):
                claimed += [Claimed(run) for run in await self._queue.claim(self._replica, left, taken)]
        except Exception:
            for _, permit in claimed:
                if permit is not None:
                    permit.give_back()
            raise
        return claimed

    async def _probe(self, graph: str, slots: int) -> Sequence[Claimed]:
        """Claims runs of a graph whose circuit is not closed, as many as the circuit lets through."""
        permits = self._circuits.probes(graph, slots)
        runs: Sequence[Run] = ()
        try:
            if permits:
                runs = await self._queue.claim(self._replica, len(permits), [graph])
        finally:
            # A run stored by an old release, which did not record its graph, is not a probe.
            for permit in permits[sum(run.graph_id == graph for run in runs) :]:
                permit.give_back()
        used = iter(permits)
        return [Claimed(run, next(used) if run.graph_id == graph else None) for run in runs]

    async def _declare(self, taken: Sequence[str] | None) -> None:
        """Tells the storage which graphs this replica takes: runs of others don't hold up the queue, and are
        not counted as work that more replicas would help with."""
        if taken != self._declared:
            await self._queue.take_only(self._replica, self._graphs if taken is None else taken)
            self._declared = taken
