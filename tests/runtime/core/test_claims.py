"""Which runs a replica claims while circuits are open, and what becomes of probes whose claim comes to
nothing. The storage is a fake: the tests check the calls that it gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from lgs_runtime.breaker.policy import Policy
from lgs_runtime.breaker.state_machine import Phase, Result
from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.graphs.circuit_section import GraphPolicy
from lgs_runtime.graphs.circuits import GraphCircuits
from lgs_runtime.worker.claims import Claims

GRAPHS = ["agent", "search"]


class Asked:
    """A storage with one waiting run of each graph, which goes away when it is set to."""

    def __init__(self) -> None:
        self.claims: list[tuple[int, Any]] = []
        self.told: list[Sequence[str]] = []
        self.away_after: int | None = None

    async def claim(self, _: str, slots: int, graphs: Sequence[str] | None = None) -> Sequence[Any]:
        if len(self.claims) == self.away_after:
            raise StorageUnavailable("away")
        self.claims.append((slots, graphs))
        return [Waiting(graph) for graph in graphs or GRAPHS][:slots]

    async def take_only(self, _: str, graphs: Sequence[str]) -> None:
        self.told.append(graphs)


class Waiting:
    def __init__(self, graph_id: str) -> None:
        self.graph_id = graph_id


class Replica:
    """One whose clock the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.storage: Any = Asked()
        policy = Policy(minimum_calls=1, recovery_timeout=30, probes=3)
        self.circuits = GraphCircuits({"agent": GraphPolicy(policy)}, clock=lambda: self.now)
        self.claims = Claims(self.storage, "r", GRAPHS, self.circuits)

    def opens(self) -> None:
        permit = self.circuits.admit("agent")
        assert permit is not None
        permit.end(Result.FAILURE)


async def test_with_closed_circuits_a_claim_is_one_statement_for_all_graphs() -> None:
    replica = Replica()

    await replica.claims.claim(5)

    assert (replica.storage.claims, replica.storage.told) == ([(5, None)], [])


async def test_an_open_graph_is_left_out_and_the_storage_is_told_once() -> None:
    replica = Replica()
    replica.opens()

    await replica.claims.claim(5)
    await replica.claims.claim(5)

    assert (replica.storage.claims, replica.storage.told) == ([(5, ["search"])] * 2, [["search"]])


async def test_a_lease_that_was_lost_is_told_again() -> None:
    replica = Replica()
    replica.opens()
    await replica.claims.claim(5)

    replica.claims.lease_lost()
    await replica.claims.claim(5)

    assert replica.storage.told == [["search"]] * 2


async def test_probes_are_claimed_beside_the_others_and_places_that_found_no_run_are_free() -> None:
    replica = Replica()
    replica.opens()
    replica.now = 30.0

    claimed = await replica.claims.claim(5)

    assert replica.storage.claims == [(3, ["agent"]), (4, ["search"])]
    assert [(run.graph_id, permit is not None) for run, permit in claimed] == [
        ("agent", True),
        ("search", False),
    ]
    assert len(replica.circuits.probes("agent", 9)) == 2


async def test_probes_of_a_claim_that_was_cut_by_the_database_take_nobody_s_place() -> None:
    replica = Replica()
    replica.opens()
    replica.now = 30.0
    replica.storage.away_after = 1

    with pytest.raises(StorageUnavailable):
        await replica.claims.claim(5)

    assert replica.circuits.all()[0].phase is Phase.HALF_OPEN
    assert len(replica.circuits.probes("agent", 9)) == 3
