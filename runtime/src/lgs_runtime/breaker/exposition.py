"""Circuits at `/metrics`. They are read when the page is requested, so that they add nothing to a call that
goes through a circuit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lgs_runtime.breaker.circuit import Circuit
from lgs_runtime.breaker.state_machine import Phase, Result

NAMES = {Result.SUCCESS: "success", Result.FAILURE: "failure", Result.NEITHER: "ignored"}


class CircuitSeries(Collector):
    """The series of all circuits; none if there are no circuits."""

    def __init__(self, circuits: Callable[[], Sequence[Circuit]]) -> None:
        self._circuits = circuits

    def collect(self) -> Iterable[Metric]:
        """The metrics by `circuit` and `kind` (`graph` around a graph, `code` in its code)."""
        if not (circuits := self._circuits()):
            return []
        of = ["kind", "circuit"]
        state = GaugeMetricFamily("lgs_circuit_state", "1 for the state it is in.", labels=[*of, "state"])
        began = CounterMetricFamily("lgs_circuit_transitions", "States begun.", labels=[*of, "state"])
        calls = CounterMetricFamily("lgs_circuit_calls", "Calls ended, or runs.", labels=[*of, "result"])
        refused = CounterMetricFamily("lgs_circuit_rejected", "Calls refused, or runs.", labels=of)
        for circuit in circuits:
            named, phase = [circuit.kind, circuit.name], circuit.phase
            for each in Phase:
                state.add_metric([*named, each.value], 1.0 if each is phase else 0.0)
                began.add_metric([*named, each.value], circuit.begun[each])
            for result, name in NAMES.items():
                calls.add_metric([*named, name], circuit.results[result])
            refused.add_metric(named, circuit.refused)
        return [state, began, calls, refused]
