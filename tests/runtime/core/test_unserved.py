"""When runs of a graph that no replica takes are given up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from lgs_runtime.background.unserved import UnservedRuns, overdue_graphs


class Queue:
    """A queue in which runs of these graphs wait, and what it is asked to end."""

    def __init__(self) -> None:
        self.unserved: dict[str, int] = {}
        self.ended: list[str] = []

    async def depth(self) -> Any:
        return SimpleNamespace(unserved=self.unserved)

    async def end_unserved(self, reasons: dict[str, str], waited_seconds: float) -> list[Any]:
        self.ended += reasons.values()
        return []


def duty(queue: Queue, clock: list[float], wait_seconds: float = 100.0) -> UnservedRuns:
    parts: Any = SimpleNamespace(queue=queue)
    none: Any = None
    return UnservedRuns(
        parts, none, none, none, graphs=["a"], wait_seconds=wait_seconds, clock=lambda: clock[0]
    )


async def test_a_graph_that_nobody_has_is_given_up_when_its_time_is_over_with_the_graphs_that_there_are() -> (
    None
):
    queue, clock = Queue(), [0.0]
    unserved = duty(queue, clock)
    queue.unserved = {"b": 2}

    await unserved.turn()
    clock[0] = 99.0
    await unserved.turn()
    early = list(queue.ended)
    clock[0] = 100.0
    await unserved.turn()

    assert early == []
    assert queue.ended == [
        "graph 'b' not found: for 100 s no replica has taken its runs; the graphs of this service are: a. "
        "Deploy the graph again, or raise workers.unservedSeconds"
    ]


async def test_the_time_of_a_graph_begins_anew_when_it_was_served_in_between() -> None:
    queue, clock = Queue(), [0.0]
    unserved = duty(queue, clock)
    for now, waiting in ((0.0, {"b": 1}), (60.0, {}), (110.0, {"b": 1}), (209.0, {"b": 1})):
        clock[0], queue.unserved = now, waiting
        await unserved.turn()

    assert queue.ended == []


async def test_a_replica_gives_up_no_graph_of_its_own_whose_circuit_is_open() -> None:
    assert overdue_graphs({"a": 0.0, "b": 0.0}, 1000.0, 100.0, ["a"]) == ["b"]


async def test_without_a_bound_runs_wait_for_ever() -> None:
    assert overdue_graphs({"b": 0.0}, 1e9, 0.0, []) == []
    assert duty(Queue(), [0.0], 0.0).interval_seconds == 60.0
