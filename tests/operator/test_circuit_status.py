"""What the operator says of a service's circuit breakers, by what its replicas answered."""

from __future__ import annotations

from typing import Any

from lgs_crds import LangGraphService, parse
from lgs_operator.scaling import ReplicaSample
from lgs_operator.status.circuits import CIRCUITS, MOST_OPEN, open_graphs

NONE: frozenset[str] = frozenset()


def service(**spec: Any) -> LangGraphService:
    head = {"apiVersion": "lgs.dev/v1alpha1", "kind": "LangGraphService", "metadata": {"name": "support"}}
    return parse({**head, "spec": {"image": "example.com/support:1", **spec}})


def sample(name: str, *opened: str) -> ReplicaSample:
    return ReplicaSample(name, 0.0, 8, open_circuits=frozenset(opened))


def test_a_graph_is_open_when_any_replica_says_so() -> None:
    seen = open_graphs([sample("a"), sample("b", "agent")], silent=0, before=None)

    assert seen == {"agent"}


def test_a_replica_that_is_silent_closes_nothing() -> None:
    before = frozenset({"agent"})

    assert open_graphs([sample("a", "search")], silent=1, before=before) == {"agent", "search"}
    assert open_graphs([sample("a")], silent=0, before=before) == NONE


def test_names_that_a_replica_makes_up_are_remembered_and_told_in_bounds() -> None:
    names = NONE
    for again in range(3):
        made_up = [sample("a", *(f"{again}-{number}" for number in range(2000)))]
        now = open_graphs(made_up, silent=1, before=names)
        assert len(now) <= MOST_OPEN
        assert len(list(CIRCUITS.events(names, now))) <= 2 * MOST_OPEN
        names = now

    many = [sample("a", *(f"g{number:03}" for number in range(500)))]
    first = open_graphs(many, silent=0, before=None)
    assert first == open_graphs(many, silent=1, before=first), "what stays open is told once"


def test_the_condition_is_there_where_there_are_circuits() -> None:
    guarded = service(circuitBreaker={})

    assert CIRCUITS.condition(service(), NONE) is None
    assert CIRCUITS.condition(service(), None) is None
    for found, status, reason in (
        (CIRCUITS.condition(guarded, NONE), "True", "AllClosed"),
        (CIRCUITS.condition(guarded, None), "Unknown", "NoReplica"),
        (CIRCUITS.condition(guarded, frozenset({"b", "a"})), "False", "CircuitOpen"),
    ):
        assert found is not None
        assert (found.status, found.reason) == (status, reason)
    told = CIRCUITS.condition(guarded, frozenset({"b", "a"}))
    assert told is not None and "of: a, b;" in told.message


def test_many_graphs_fit_into_a_message() -> None:
    told = CIRCUITS.condition(service(), frozenset(f"g{number:03}" for number in range(500)))

    assert told is not None
    assert "g009 and 490 more" in told.message


def test_each_graph_that_changes_is_an_event_and_nothing_else() -> None:
    events = list(CIRCUITS.events(frozenset({"a", "b"}), frozenset({"b", "c"})))

    assert [(kind, reason, words.split(":")[0]) for kind, reason, words in events] == [
        ("Warning", "CircuitOpened", "graph c"),
        ("Normal", "CircuitClosed", "graph a"),
    ]
    assert list(CIRCUITS.events(frozenset({"a"}), frozenset({"a"}))) == []
