"""The circuit breakers of a service's replicas: which graphs take no runs. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from lgs_crds import LangGraphService
from lgs_operator.scaling import Observation, ReplicaSample
from lgs_operator.status.refusals import Names, Refusals


def open_graphs(samples: Iterable[ReplicaSample], *, silent: int, before: Names | None) -> Names:
    """The graphs whose circuit is not closed in some replica. `silent` is the number of replicas without a
    sample: while there are any, graphs that were open `before` stay, as they may still be open there."""
    seen = frozenset(graph for sample in samples for graph in sample.open_circuits)
    return seen | before if silent and before else seen


def _read(service: LangGraphService, observation: Observation, before: Names | None) -> Names | None:
    if not observation.samples:
        return None
    return open_graphs(observation.samples, silent=observation.failed + observation.silent, before=before)


CIRCUITS: Final = Refusals(
    "CircuitsClosed",
    none=("AllClosed", "runs of all graphs are taken"),
    some=(
        "CircuitOpen",
        "too many runs fail of: {}; new ones are answered 503, those that wait are kept",
    ),
    unknown="no replica is ready: nobody can tell",
    began=(
        "CircuitOpened",
        "graph {}: too many of its runs failed or were slow; new ones are answered 503 for now",
    ),
    over=("CircuitClosed", "graph {}: its runs are taken again"),
    read=_read,
    applies=lambda service, opened: service.spec.circuit_breaker is not None or bool(opened),
)
