"""A canary takes the runs of its share of the threads, each thread's for good, and the others the rest; what
one of the two leaves is left to somebody who takes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lgs_runtime.model import Outcome, Priority, QueueLimits, Release
from lgs_runtime.storage import Storage
from lgs_runtime.storage.canary import BUCKETS, Member, bucket, part_of, takes
from support.drawn_manifests import examples
from support.service import Service, new_id

Another = Callable[..., Awaitable[Storage]]
RunsOut = Callable[[str], None]
SHARE = 30
THREADS = 60


async def joins(
    service: Service, name: str, revision: str, share: int | None = None, graphs: Sequence[str] | None = None
) -> None:
    """A replica comes."""
    service.leases[name] = await service.storage.leases.take(name, graphs, Release(revision, share))


async def leaves(service: Service, name: str) -> None:
    """A replica has ended."""
    await service.leases.pop(name).close()


@pytest.fixture
async def release(service: Service) -> Service:
    """A stable replica, and a canary of the next revision."""
    await joins(service, "stable", "1")
    await joins(service, "canary", "2", SHARE)
    return service


def is_canarys(thread_id: str) -> bool:
    return bucket("2", thread_id) < SHARE


def thread(canarys: bool) -> str:
    """One of the canary's, or one of the others'."""
    return next(each for each in iter(new_id, "") if is_canarys(each) is canarys)


async def claimed(service: Service, name: str, **more: Any) -> set[str]:
    """The threads of the runs that a replica claims."""
    return {run.thread_id for run in await service.storage.queue.claim(name, 1000, **more)}


async def test_a_canary_claims_the_runs_of_its_threads_and_the_others_claim_the_rest(
    release: Service,
) -> None:
    threads = {new_id() for _ in range(THREADS)}
    for each in threads:
        await release.enqueue(each)

    by_canary, by_stable = await claimed(release, "canary"), await claimed(release, "stable")

    assert by_canary == set(filter(is_canarys, threads))
    assert by_stable == threads - by_canary


async def test_a_thread_stays_where_it_is_run_by_run_also_when_one_is_handed_back(release: Service) -> None:
    queue, (own, others) = release.storage.queue, (thread(True), thread(False))
    for _ in range(3):
        for each in (own, others):
            await release.enqueue(each)
        (handed_back,) = await queue.claim("canary", 10)
        await queue.release("canary", [handed_back])

        (by_stable,) = await queue.claim("stable", 10)
        (by_canary,) = await queue.claim("canary", 10)

        assert (by_canary.thread_id, by_stable.thread_id) == (own, others)
        await queue.finish(by_canary, "canary", Outcome("success"))
        await queue.finish(by_stable, "stable", Outcome("success"))


@pytest.mark.parametrize("limit", [500, 2], ids=["with room", "near its limit"])
async def test_who_stores_a_run_claims_it_at_once_only_if_it_is_its_own(release: Service, limit: int) -> None:
    limits = QueueLimits(limit, limit, limit)
    await release.enqueue(thread(True), priority=Priority.HIGH)

    own = await release.enqueue(thread(False), limits=limits, claim_for="stable")
    canarys = await release.enqueue(thread(True), limits=limits, claim_for="stable")
    behind = await release.enqueue(thread(True), limits=limits, claim_for="canary")

    assert (own.claimed, canarys.claimed) == (True, False), "the canary's run is before none of the others'"
    assert not behind.claimed


async def test_without_the_other_side_each_takes_all(service: Service) -> None:
    await joins(service, "canary", "2", SHARE)
    first = {(await service.enqueue()).run.thread_id for _ in range(THREADS)}
    assert await claimed(service, "canary") == first

    await joins(service, "stable", "1")
    await leaves(service, "canary")
    second = {(await service.enqueue()).run.thread_id for _ in range(THREADS)}
    assert await claimed(service, "stable") == second


async def test_a_replica_that_begins_to_claim_again_is_left_its_share(release: Service) -> None:
    canarys = thread(True)
    await release.storage.queue.leave("canary")
    await release.storage.queue.join("canary")
    await release.enqueue(canarys)

    assert await claimed(release, "stable") == set()
    assert await claimed(release, "canary") == {canarys}


async def test_nothing_is_left_to_a_replica_that_claims_no_more_or_is_lost(
    release: Service, open_another: Another, lease_runs_out: RunsOut
) -> None:
    canarys, others = thread(True), thread(False)
    await release.enqueue(canarys)
    await release.storage.queue.leave("canary")
    assert await claimed(release, "stable") == {canarys}

    await joins(release, "canary", "2", SHARE)
    await release.storage.queue.leave("stable")
    await release.enqueue(others)
    assert await claimed(release, "canary") == {others}

    await joins(release, "stable", "1")
    third = thread(True)
    await release.enqueue(third)
    assert await claimed(release, "stable") == set()
    lease_runs_out("canary")
    assert await claimed(release, "stable") == {third}


async def test_a_run_whose_graph_only_one_side_has_goes_there_whatever_its_thread(service: Service) -> None:
    await joins(service, "stable", "1", graphs=["kept", "removed"])
    await joins(service, "canary", "2", SHARE, graphs=["kept", "added"])
    removed, added = thread(True), thread(False)
    await service.enqueue(removed, graph_id="removed")
    await service.enqueue(added, graph_id="added")
    kept = await service.enqueue(thread(True), graph_id="kept", claim_for="stable")

    assert not kept.claimed
    assert await claimed(service, "stable") == {removed}
    assert await claimed(service, "canary") == {added, kept.run.thread_id}


async def test_a_graph_whose_circuit_is_open_at_the_canary_is_the_others(release: Service) -> None:
    own = thread(True)
    await release.enqueue(own, graph_id="a")
    await release.storage.queue.take_only("canary", ["b"])

    assert await claimed(release, "stable", graphs=["a"]) == {own}


async def test_a_larger_share_takes_threads_over_and_gives_none_back(release: Service) -> None:
    threads = {new_id() for _ in range(THREADS)}
    await joins(release, "next", "2", 60)
    for each in threads:
        await release.enqueue(each)

    small = await claimed(release, "canary")
    rest = await claimed(release, "stable")

    assert small == {each for each in threads if bucket("2", each) < 60}, "one share holds for all of them"
    assert set(filter(is_canarys, threads)) <= small
    assert rest == threads - small


async def test_what_the_canary_becomes_takes_all_and_its_threads_stay_with_it(release: Service) -> None:
    await joins(release, "promoted", "2")
    canarys, others = thread(True), thread(False)
    for each in (canarys, others):
        await release.enqueue(each)
    assert await claimed(release, "promoted") == {canarys, others}

    again = thread(True)
    await release.enqueue(again)
    assert await claimed(release, "stable") == set()


@pytest.mark.parametrize(("share", "by_canary"), [(0, False), (100, True)])
async def test_none_and_all_are_shares_as_well(service: Service, share: int, by_canary: bool) -> None:
    await joins(service, "stable", "1")
    await joins(service, "canary", "2", share)
    threads = {(await service.enqueue()).run.thread_id for _ in range(20)}

    assert await claimed(service, "canary") == (threads if by_canary else set())
    assert await claimed(service, "stable") == (set() if by_canary else threads)


async def test_a_canary_of_no_name_is_one_as_well(service: Service) -> None:
    service.leases["stable"] = await service.storage.leases.take("stable")
    service.leases["canary"] = await service.storage.leases.take("canary", None, Release(None, 50))
    threads = {(await service.enqueue()).run.thread_id for _ in range(THREADS)}

    by_canary = await claimed(service, "canary")

    assert by_canary == {each for each in threads if bucket("", each) < 50}
    assert await claimed(service, "stable") == threads - by_canary


async def test_the_next_in_line_wait_for_no_run_that_is_left_to_the_canary(release: Service) -> None:
    """Whose slots are taken, say: a hundred of its runs wait, and the others' go on."""
    for _ in range(40):
        await release.enqueue(thread(True), priority=Priority.HIGH)
    own = [await release.enqueue(thread(False)) for _ in range(3)]

    found = [run.run_id for run in await release.storage.queue.claim("stable", 3)]

    assert found == [each.run.run_id for each in own]


NAMES = st.sampled_from(["1", "2", None])
GRAPHS = st.none() | st.lists(st.sampled_from("ab"), unique=True)
MEMBERS = st.builds(Member, NAMES, st.none() | st.integers(0, BUCKETS), GRAPHS)


def able(fleet: Iterable[Member], graph: str | None) -> list[Member]:
    """Who of them has the graph of a run."""
    return [each for each in fleet if graph is None or each.graphs is None or graph in each.graphs]


def takers(fleet: Collection[Member], graph: str | None, thread_id: str) -> list[Member]:
    """Who of them takes a run, by the law."""
    return [each for each in able(fleet, graph) if takes(part_of(each, fleet), graph, thread_id)]


@examples(500)
@given(st.lists(MEMBERS, min_size=1, max_size=5), st.sampled_from(["a", "b", None]), st.uuids())
def test_whoever_there_is_a_run_that_some_can_take_some_take(
    fleet: list[Member], graph: str | None, thread_id: Any
) -> None:
    assert bool(takers(fleet, graph, str(thread_id))) == bool(able(fleet, graph))


def drawn(dice: Random) -> Member:
    graphs = dice.choice([None, ["a"], ["a", "b"]])
    return Member(dice.choice(["1", "2", None]), dice.choice([None, None, 0, 30, 70, 100]), graphs)


@pytest.mark.parametrize("seed", range(8))
async def test_both_databases_have_it_as_the_law_has(service: Service, seed: int) -> None:
    dice = Random(seed)
    fleet = {f"r{number}": drawn(dice) for number in range(4)}
    for name, each in fleet.items():
        release = Release(each.revision, each.share)
        service.leases[name] = await service.storage.leases.take(name, each.graphs, release)
    waiting: dict[str, str | None] = {}
    for _ in range(24):
        graph = dice.choice(["a", "b", None])
        waiting[(await service.enqueue(graph_id=graph)).run.thread_id] = graph

    for name, each in fleet.items():
        new = await service.enqueue(graph_id="a", claim_for=name)
        waiting[new.run.thread_id] = "a"
        at_once = {new.run.thread_id} if new.claimed else set()

        law = {
            thread_id
            for thread_id, graph in waiting.items()
            if each in takers(fleet.values(), graph, thread_id)
        }

        assert at_once | await claimed(service, name) == law, (name, fleet)
        waiting = {thread_id: graph for thread_id, graph in waiting.items() if thread_id not in law}
