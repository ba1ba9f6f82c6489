"""A replica gets runs of the graphs that it has; others wait for one that has theirs, and are counted
apart."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from lgs_runtime.errors import NotFound
from lgs_runtime.model import Priority, QueueLimits
from lgs_runtime.storage import Storage
from support.ports import PATIENCE_SECONDS
from support.service import Service

Another = Callable[..., Awaitable[Storage]]
RunsOut = Callable[[str], None]


@pytest.fixture
async def fleet(service: Service) -> Service:
    """A replica of an old release, one of a new release, and one that declares none."""
    for name, graphs in (("old", ["a"]), ("new", ["a", "b"]), ("silent", None)):
        service.leases[name] = await service.storage.leases.take(name, graphs)
    return service


async def test_a_replica_claims_only_runs_whose_graph_it_has(fleet: Service) -> None:
    other = await fleet.enqueue(graph_id="b")
    own = await fleet.enqueue(graph_id="a")

    claimed = await fleet.storage.queue.claim("old", 10)

    assert [run.run_id for run in claimed] == [own.run.run_id]
    assert [run.run_id for run in await fleet.storage.queue.claim("new", 10)] == [other.run.run_id]


async def test_a_graph_is_taken_while_a_replica_that_lives_says_so(
    fleet: Service, lease_runs_out: RunsOut
) -> None:
    queue = fleet.storage.queue

    assert [await queue.takes(graph) for graph in ("a", "b", "c")] == [True, True, False]
    await queue.take_only("new", ["a"])
    assert [await queue.takes(graph) for graph in ("a", "b")] == [True, False]
    await queue.take_only("new", ["b"])
    lease_runs_out("new")
    assert [await queue.takes(graph) for graph in ("a", "b")] == [True, False]


async def test_a_replica_that_does_not_tell_claims_any_run_and_a_run_of_no_graph_goes_to_any(
    fleet: Service,
) -> None:
    other = await fleet.enqueue(graph_id="b")
    unknown = await fleet.enqueue(graph_id=None)

    assert [run.run_id for run in await fleet.storage.queue.claim("old", 10)] == [unknown.run.run_id]
    assert [run.run_id for run in await fleet.storage.queue.claim("silent", 10)] == [other.run.run_id]


async def test_a_run_is_inserted_as_claimed_only_by_a_replica_that_has_its_graph(fleet: Service) -> None:
    by_old = await fleet.enqueue(graph_id="b", claim_for="old")
    by_new = await fleet.enqueue(graph_id="b", claim_for="new", priority=Priority.HIGH)

    assert (by_old.claimed, by_new.claimed) == (False, True)
    assert by_new.run.graph_id == "b"


@pytest.mark.parametrize("limit", [500, 2], ids=["with room", "near its limit"])
async def test_runs_that_a_replica_can_not_take_are_not_before_its_own(fleet: Service, limit: int) -> None:
    await fleet.enqueue(graph_id="b", priority=Priority.HIGH)
    limits = QueueLimits(limit, limit, limit)

    own = await fleet.enqueue(graph_id="a", limits=limits, claim_for="old")
    other = await fleet.enqueue(graph_id="b", limits=limits, claim_for="old")

    assert (own.claimed, other.claimed) == (True, False)


async def test_the_runs_of_a_thread_keep_their_order_whoever_has_their_graph(fleet: Service) -> None:
    first = await fleet.enqueue(graph_id="b")
    second = await fleet.enqueue(first.run.thread_id, graph_id="a")

    claimed = await fleet.storage.queue.claim("old", 10)

    assert claimed == []
    assert (await fleet.storage.runs.get(second.run.run_id)).status == "pending"


async def test_a_run_that_is_handed_back_or_lost_goes_to_a_replica_that_has_its_graph(
    fleet: Service, open_another: Another, lease_runs_out: RunsOut
) -> None:
    handed_back, lost = await fleet.enqueue(graph_id="b"), await fleet.enqueue(graph_id="b")
    dying = await (await open_another()).leases.take("dying", ["b"])
    runs = {run.run_id: run for run in await fleet.storage.queue.claim("dying", 2)}
    await fleet.storage.queue.release("dying", [runs[handed_back.run.run_id]])
    lease_runs_out("dying")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await fleet.storage.queue.reap(3):
            await asyncio.sleep(0.05)

    by_old = await fleet.storage.queue.claim("old", 10)
    by_new = await fleet.storage.queue.claim("new", 10)

    assert by_old == []
    assert {run.run_id for run in by_new} == {handed_back.run.run_id, lost.run.run_id}
    await dying.close()


async def test_runs_of_a_graph_that_no_replica_has_are_counted_apart(service: Service) -> None:
    service.leases["old"] = await service.storage.leases.take("old", ["a"])
    await service.enqueue(graph_id="a")
    for priority in (Priority.HIGH, Priority.NORMAL):
        await service.enqueue(graph_id="b", priority=priority)

    alone = await service.storage.queue.depth()
    service.leases["new"] = await service.storage.leases.take("new", ["a", "b"])
    together = await service.storage.queue.depth()

    assert (alone.high.waiting, alone.normal.waiting, alone.unserved) == (0, 1, {"b": 2})
    assert (together.high.waiting, together.normal.waiting, together.unserved) == (1, 2, {})


async def test_a_run_of_a_graph_that_no_replica_has_can_be_cancelled(service: Service) -> None:
    service.leases["old"] = await service.storage.leases.take("old", ["a"])
    waiting = await service.enqueue(graph_id="b")

    (stopped,) = await service.storage.queue.cancel(None, [waiting.run.run_id], "interrupt")

    assert stopped.status == "interrupted"
    assert (await service.storage.queue.depth()).unserved == {}


async def test_a_graph_whose_replica_was_lost_a_moment_ago_is_taken_for_served(
    service: Service, open_another: Another, lease_runs_out: RunsOut
) -> None:
    service.leases["old"] = await service.storage.leases.take("old", ["a"])
    lost = await (await open_another()).leases.take("new", ["b"])
    await service.enqueue(graph_id="b")
    lease_runs_out("new")

    depth = await service.storage.queue.depth()

    assert (depth.normal.waiting, depth.unserved) == (1, {})
    await lost.close()


async def test_a_claim_may_name_the_graphs_it_is_of(fleet: Service) -> None:
    await fleet.enqueue(graph_id="a")
    other = await fleet.enqueue(graph_id="b")

    named = await fleet.storage.queue.claim("new", 10, ["b"])

    assert [run.run_id for run in named] == [other.run.run_id]
    assert await fleet.storage.queue.claim("new", 10, ["c"]) == []


async def test_a_graph_that_a_replica_takes_no_runs_of_for_now_is_before_none_and_unserved(
    fleet: Service,
) -> None:
    for name in ("old", "new"):
        await fleet.storage.queue.take_only(name, [])
    await fleet.leases.pop("silent").close()
    waits = await fleet.enqueue(graph_id="a", priority=Priority.HIGH)
    await fleet.storage.queue.take_only("new", ["b"])

    beside = await fleet.enqueue(graph_id="b", claim_for="new")
    refused = await fleet.enqueue(graph_id="a", claim_for="new")
    claimed = await fleet.storage.queue.claim("new", 10)
    depth = await fleet.storage.queue.depth()

    assert (beside.claimed, refused.claimed, claimed) == (True, False, [])
    assert (depth.unserved, depth.high.waiting) == ({"a": 2}, 0)
    await fleet.storage.queue.take_only("new", ["a", "b"])
    assert waits.run.run_id in [run.run_id for run in await fleet.storage.queue.claim("new", 10)]


async def test_a_lease_that_was_lost_and_is_taken_anew_is_of_all_graphs(fleet: Service) -> None:
    await fleet.storage.queue.take_only("old", [])
    await fleet.enqueue(graph_id="a")
    assert await fleet.storage.queue.claim("old", 10) == []

    await fleet.leases.pop("old").close()
    fleet.leases["old"] = await fleet.storage.leases.take("old", ["a"])

    assert len(await fleet.storage.queue.claim("old", 10)) == 1


async def test_when_no_graph_is_taken_by_anybody_all_that_waits_is_unserved(fleet: Service) -> None:
    await fleet.leases.pop("silent").close()
    for name in ("old", "new"):
        await fleet.storage.queue.take_only(name, [])
    await fleet.enqueue(graph_id="a")
    await fleet.enqueue(graph_id=None)

    depth = await fleet.storage.queue.depth()

    assert (depth.unserved, depth.normal.waiting) == ({"a": 1}, 1)


WAITED: dict[str, str] = {"b": "graph 'b' not found"}


async def ended_as_unserved(service: Service, seconds: float = 0.0) -> list[tuple[str, str, str | None]]:
    ended = await service.storage.queue.end_unserved(WAITED, seconds)
    return [(run.run_id, run.status, run.error) for run in ended]


async def test_a_run_that_has_waited_for_its_graph_for_too_long_ends_in_error_with_the_reason(
    service: Service,
) -> None:
    service.leases["old"] = await service.storage.leases.take("old", ["a"])
    own = await service.enqueue(graph_id="a")
    waits = await service.enqueue(graph_id="b", webhook="http://example.com")

    ended = await ended_as_unserved(service)

    assert ended == [(waits.run.run_id, "error", "graph 'b' not found")]
    assert await ended_as_unserved(service) == []
    thread = await service.storage.threads.get(waits.run.thread_id)
    assert (thread.status, thread.error) == ("error", "graph 'b' not found")
    assert [call.run.run_id for call in await service.storage.webhooks.claim(10, [60])] == [waits.run.run_id]
    assert [run.run_id for run in await service.storage.queue.claim("old", 10)] == [own.run.run_id]


async def test_a_run_waits_for_its_graph_as_long_as_it_may_and_a_delayed_one_from_its_time_on(
    service: Service,
) -> None:
    service.leases["old"] = await service.storage.leases.take("old", ["a"])
    waits = await service.enqueue(graph_id="b")
    delayed = await service.enqueue(graph_id="b", delay_seconds=3600)

    assert await ended_as_unserved(service, 600) == []
    assert [run_id for run_id, _, _ in await ended_as_unserved(service)] == [waits.run.run_id]
    assert (await service.storage.runs.get(delayed.run.run_id)).status == "pending"


async def test_a_run_whose_graph_a_replica_has_or_had_a_moment_ago_is_not_ended(
    fleet: Service, open_another: Another, lease_runs_out: RunsOut
) -> None:
    await fleet.enqueue(graph_id="b")

    by_all = await ended_as_unserved(fleet)
    for name in ("new", "silent"):
        await fleet.leases.pop(name).close()
    lost = await (await open_another()).leases.take("lost", ["b"])
    lease_runs_out("lost")
    by_one_that_was_lost = await ended_as_unserved(fleet)
    await lost.close()

    assert (by_all, by_one_that_was_lost) == ([], [])


async def test_after_a_run_that_ended_as_unserved_its_thread_goes_on(fleet: Service) -> None:
    for name in ("new", "silent"):
        await fleet.leases.pop(name).close()
    first = await fleet.enqueue(graph_id="b")
    second = await fleet.enqueue(first.run.thread_id, graph_id="a")

    assert await fleet.storage.queue.claim("old", 10) == []
    await ended_as_unserved(fleet)

    assert [run.run_id for run in await fleet.storage.queue.claim("old", 10)] == [second.run.run_id]


async def test_a_stateless_run_that_ended_as_unserved_takes_its_thread_with_it(service: Service) -> None:
    service.leases["old"] = await service.storage.leases.take("old", ["a"])
    waits = await service.enqueue(graph_id="b", delete_thread_after=True)

    await ended_as_unserved(service)

    with pytest.raises(NotFound):
        await service.storage.threads.get(waits.run.thread_id)
    assert (await service.storage.runs.get(waits.run.run_id)).error == "graph 'b' not found"
