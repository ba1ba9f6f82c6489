"""The circuit breakers of a service's replicas: which graphs take no runs. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest
from typing import Final

from lgs_crds import LangGraphService
from lgs_operator.scaling import Observation, ReplicaSample
from lgs_operator.status.refusals import Names, Refusals

MOST_OPEN: Final = 100
"""Graphs that are remembered as open: a replica may make up any number of names, and other ones each time."""


def open_graphs(samples: Iterable[ReplicaSample], *, silent: int, before: Names | None) -> Names:
    """The graphs whose circuit is not closed in some replica. `silent` is the number of replicas without a
    sample: while there are any, graphs that were open `before` stay, as they may still be open there. At most
    `MOST_OPEN`, the first by name."""
    seen = frozenset(graph for sample in samples for graph in sample.open_circuits)
    found = seen | before if silent and before else seen
    return found if len(found) <= MOST_OPEN else frozenset(nsmallest(MOST_OPEN, found))


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
