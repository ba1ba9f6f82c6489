"""The circuits around this replica's graphs. While a graph's circuit is open, no run of the graph is admitted
or claimed here; while it is half-open, as many as there are probes. A graph without a policy has no circuit,
and costs one dictionary lookup."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lgs_runtime.breaker.circuit import Circuit, Listener
from lgs_runtime.breaker.refusals import CircuitOpen
from lgs_runtime.breaker.state_machine import Permit, Phase, Result
from lgs_runtime.errors import GraphCircuitOpen
from lgs_runtime.graphs.circuit_section import GraphPolicy


@dataclass(slots=True)
class RunPermit:
    """A run that a circuit let through; it is ended only once."""

    circuit: Circuit
    permit: Permit
    ended: bool = False

    def end(self, result: Result) -> None:
        """Reports how the run ended here; `result` says what that means for its graph."""
        if not self.ended:
            self.ended = True
            self.circuit.report(self.permit, result)

    def give_back(self) -> None:
        """Withdraws the run, which does not begin here."""
        if not self.ended:
            self.ended = True
            self.circuit.withdraw(self.permit)


class GraphCircuits:
    """The circuits, one for each graph that has a policy."""

    def __init__(
        self, policies: Mapping[str, GraphPolicy], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._policies = policies
        self._circuits = {
            graph: Circuit(graph, own.policy, kind="graph", clock=clock) for graph, own in policies.items()
        }

    def all(self) -> list[Circuit]:
        """All circuits."""
        return list(self._circuits.values())

    def listen(self, listener: Listener) -> None:
        """Calls `listener` at each change of a circuit."""
        for circuit in self._circuits.values():
            circuit.listeners.append(listener)

    def ignored(self, graph_id: str) -> tuple[str, ...]:
        """Names of exceptions that make runs of a graph fail without any fault of the graph."""
        return self._policies[graph_id].ignore

    def admit(self, graph_id: str | None) -> RunPermit | None:
        """Lets a new run through. None if its graph has no circuit. Raises `GraphCircuitOpen`."""
        circuit = self._circuits.get(graph_id or "")
        if circuit is None:
            return None
        try:
            return RunPermit(circuit, circuit.acquire())
        except CircuitOpen as refused:
            raise GraphCircuitOpen(circuit.name, refused.retry_after_seconds) from None

    @contextmanager
    def admitted(self, *graph_ids: str | None) -> Iterator[None]:
        """Holds permits while runs are stored that will wait in the queue. Raises `GraphCircuitOpen`."""
        permits: list[RunPermit] = []
        try:
            for graph_id in dict.fromkeys(graph_ids):
                if (permit := self.admit(graph_id)) is not None:
                    permits.append(permit)
            yield
        finally:
            for permit in permits:
                permit.give_back()

    def begin(self, graph_id: str | None) -> RunPermit | None:
        """Begins a run that begins here in any case: its result counts only if the circuit lets it
        through."""
        circuit = self._circuits.get(graph_id or "")
        permits = circuit.acquire_some(1) if circuit is not None else []
        return RunPermit(circuit, permits[0]) if circuit is not None and permits else None

    def taken(self, graphs: Sequence[str]) -> Sequence[str] | None:
        """The graphs whose runs are claimed without a limit. None: all of them."""
        left_out = self.not_closed()
        return [graph for graph in graphs if graph not in left_out] if left_out else None

    def not_closed(self) -> Sequence[str]:
        """The graphs whose circuits are open or half-open."""
        return [graph for graph, circuit in self._circuits.items() if circuit.phase is not Phase.CLOSED]

    def probes(self, graph_id: str, most: int) -> Sequence[RunPermit]:
        """Permits for as many runs of a graph as its circuit lets through now, up to `most`."""
        circuit = self._circuits[graph_id]
        return [RunPermit(circuit, permit) for permit in circuit.acquire_some(most)]
