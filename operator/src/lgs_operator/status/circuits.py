"""The circuit breakers of a service's replicas: which graphs are not taken, the condition of that, and the
Events of what changed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from lgs_crds import LangGraphService
from lgs_crds.reasons import Reason
from lgs_crds.status import Condition, condition
from lgs_operator.kube.kinds import EventType
from lgs_operator.scaling import ReplicaSample

MOST_NAMED: Final = 10


def open_graphs(
    samples: Iterable[ReplicaSample], *, silent: int, before: frozenset[str] | None
) -> frozenset[str]:
    """The graphs whose circuit is not closed in some replica. `silent` replicas gave no sample: while there
    are some, a graph that was open `before` may still be so there."""
    seen = frozenset(graph for sample in samples for graph in sample.open_circuits)
    return seen | before if silent and before else seen


def circuits_closed(service: LangGraphService, opened: frozenset[str] | None) -> Condition | None:
    """The condition, where there are circuits. `opened` is None where nobody could be asked."""
    if service.spec.circuit_breaker is None and not opened:
        return None
    if opened is None:
        return condition("CircuitsClosed", "Unknown", "NoReplica", "no replica is ready: nobody can tell")
    if not opened:
        return condition("CircuitsClosed", "True", "AllClosed", "runs of all graphs are taken")
    words = f"too many runs fail of: {_listed(opened)}; new ones are answered 503, those that wait are kept"
    return condition("CircuitsClosed", "False", "CircuitOpen", words)


def circuit_events(before: frozenset[str], now: frozenset[str]) -> Iterator[tuple[EventType, Reason, str]]:
    """An Event for each graph whose circuit has changed."""
    for graph in sorted(now - before):
        words = f"graph {graph}: too many of its runs failed or were slow; new ones are answered 503 for now"
        yield "Warning", "CircuitOpened", words
    for graph in sorted(before - now):
        yield "Normal", "CircuitClosed", f"graph {graph}: its runs are taken again"


def _listed(graphs: frozenset[str]) -> str:
    named = sorted(graphs)
    more = len(named) - MOST_NAMED
    return ", ".join(named[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
