"""Which runs this replica claims: of all graphs that it has, except those whose circuits are open. Of a graph
whose circuit is half-open it claims as many as the circuit lets through, which prove whether it is well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.graphs.circuits import GraphCircuits, RunPermit
from lgs_runtime.model import Run
from lgs_runtime.storage.contract import Queue


class Claimed(NamedTuple):
    """A run that is this replica's now. `permit`: a probe's."""

    run: Run
    permit: RunPermit | None = None


class Claims:
    """Of one replica."""

    def __init__(self, queue: Queue, replica: str, graphs: Sequence[str], circuits: GraphCircuits) -> None:
        self._queue = queue
        self._replica = replica
        self._graphs = graphs
        self._circuits = circuits
        self._declared: Sequence[str] | None = None
        """The graphs that the replica has declared to the storage. None: all of its graphs, as with a new
        lease."""

    def lease_lost(self) -> None:
        """The lease is a new one, with all graphs."""
        self._declared = None

    async def claim(self, slots: int) -> Sequence[Claimed]:
        """Up to so many runs; probes first, since they are few. Raises `StorageUnavailable`: runs that were
        claimed before are found in the storage's record, and are not probes."""
        claimed: list[Claimed] = []
        taken = self._circuits.taken(self._graphs)
        await self._declare(taken)
        try:
            for graph in self._circuits.not_closed():
                claimed += await self._probe(graph, slots - len(claimed))
            left = slots - len(claimed)
            if left > 0 and (taken is None or taken):
                claimed += [Claimed(run) for run in await self._queue.claim(self._replica, left, taken)]
        except StorageUnavailable:
            for _, permit in claimed:
                if permit is not None:
                    permit.give_back()
            raise
        return claimed

    async def _probe(self, graph: str, slots: int) -> Sequence[Claimed]:
        """Runs of a graph whose circuit is not closed, as many as it lets through."""
        permits = self._circuits.probes(graph, slots)
        runs: Sequence[Run] = ()
        try:
            if permits:
                runs = await self._queue.claim(self._replica, len(permits), [graph])
        finally:
            # A run that was stored by a release that kept no graph with it is not a probe.
            for permit in permits[sum(run.graph_id == graph for run in runs) :]:
                permit.give_back()
        used = iter(permits)
        return [Claimed(run, next(used) if run.graph_id == graph else None) for run in runs]

    async def _declare(self, taken: Sequence[str] | None) -> None:
        """Has the storage know what this replica takes: what it does not is before no other run, and more
        replicas would not help it."""
        if taken != self._declared:
            await self._queue.take_only(self._replica, self._graphs if taken is None else taken)
            self._declared = taken
