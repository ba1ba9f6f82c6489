"""A thread stays with the revision that began what is unfinished of it, until it is over, or that revision
has been away for too long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from random import Random
from typing import Any

import psycopg
import pytest

from lgs_runtime.errors import QueueFull
from lgs_runtime.model import Outcome, Pinning, Priority, QueueLimits, Release, Run
from lgs_runtime.storage import StorageOptions, open_storage
from lgs_runtime.storage.histories import NewVersion
from lgs_runtime.storage.pins import MOST_ABSENT_SECONDS, absence, keeps
from support.leases import edit_row, is_sqlite
from support.ports import PATIENCE_SECONDS
from support.service import Service, at_work, new_id

RunsOut = Callable[[str], None]
INTERRUPTED = Outcome("success", thread_status="interrupted", interrupts={"task": [{"value": "sure?"}]})


async def joins(
    service: Service,
    name: str,
    revision: str | None,
    pinning: Pinning | None,
    graphs: Sequence[str] | None = None,
) -> None:
    """A replica comes."""
    release = Release(revision, None, pinning)
    service.leases[name] = await service.storage.leases.take(name, graphs, release)


async def leaves(service: Service, name: str) -> None:
    """A replica has ended."""
    await service.leases.pop(name).close()


@pytest.fixture
async def release(service: Service) -> Service:
    """A replica of the old revision, which only keeps what is pinned to it, and one of the new revision."""
    await joins(service, "old", "1", "closed")
    await joins(service, "new", "2", "open")
    return service


async def claimed(service: Service, name: str, **more: Any) -> set[str]:
    """The threads of the runs that a replica claims."""
    return {run.thread_id for run in await service.storage.queue.claim(name, 1000, **more)}


async def begun(service: Service, revision: str = "1") -> Run:
    """A run that a replica of the revision has begun, in the time when that took new threads."""
    await joins(service, "before", revision, "open")
    await service.enqueue()
    (run,) = await service.storage.queue.claim("before", 1)
    return run


async def interrupted(service: Service, revision: str = "1") -> str:
    """A thread that waits for an answer to what a replica of this revision has asked."""
    run = await begun(service, revision)
    await service.storage.queue.finish(run, "before", INTERRUPTED)
    await leaves(service, "before")
    return run.thread_id


async def pins(service: Service, wait_seconds: float = 120.0, **more: Any) -> dict[str, tuple[int, int, int]]:
    """By revision: threads, runs, moved."""
    found = await service.storage.pins.watch(wait_seconds, **more)
    return {each.revision: (each.threads, each.runs, each.moved) for each in found}


async def test_new_threads_go_to_the_new_revision(release: Service) -> None:
    threads = {(await release.enqueue()).run.thread_id for _ in range(3)}

    assert await claimed(release, "old") == set()
    assert await claimed(release, "new") == threads


async def test_the_answer_to_an_interrupt_goes_to_the_revision_that_asked(release: Service) -> None:
    thread = await interrupted(release)
    await release.enqueue(thread)

    assert await claimed(release, "new") == set()
    assert await claimed(release, "old") == {thread}


async def test_once_it_is_over_the_next_run_of_the_thread_goes_to_the_new_revision(release: Service) -> None:
    thread = await interrupted(release)
    await release.enqueue(thread)
    (run,) = await release.storage.queue.claim("old", 1)
    await release.storage.queue.finish(run, "old", Outcome("success"))
    await release.enqueue(thread)

    assert await claimed(release, "old") == set()
    assert await claimed(release, "new") == {thread}


async def test_it_stays_as_often_as_it_is_interrupted_again(release: Service) -> None:
    thread = await interrupted(release)
    for _ in range(3):
        await release.enqueue(thread)
        assert await claimed(release, "new") == set()
        (run,) = await release.storage.queue.claim("old", 1)
        await release.storage.queue.finish(run, "old", INTERRUPTED)


async def test_a_run_that_failed_is_over(release: Service) -> None:
    """The release after it may be the one that mends it."""
    thread = await interrupted(release)
    await release.enqueue(thread)
    (run,) = await release.storage.queue.claim("old", 1)
    await release.storage.queue.finish(run, "old", Outcome("error", error="broken", thread_status="error"))
    await release.enqueue(thread)

    assert await claimed(release, "new") == {thread}


@pytest.mark.parametrize("how", ["handed back", "lost"])
async def test_a_run_that_is_begun_again_stays_with_its_revision(
    release: Service, lease_runs_out: RunsOut, how: str
) -> None:
    run = await begun(release)
    if how == "lost":
        lease_runs_out("before")
        await release.storage.queue.reap(3)
    else:
        await release.storage.queue.release("before", [run])

    assert await claimed(release, "new") == set()
    assert await claimed(release, "old") == {run.thread_id}


async def test_a_run_that_waits_behind_one_goes_where_the_thread_is_when_that_has_ended(
    release: Service,
) -> None:
    run, other = await begun(release), await interrupted(release)
    await release.enqueue(run.thread_id)
    await release.enqueue(other)
    (answer,) = await release.storage.queue.claim("old", 10)
    assert answer.thread_id == other
    await release.enqueue(other)
    await joins(release, "before", "1", "open")

    await release.storage.queue.finish(answer, "old", INTERRUPTED)

    assert await claimed(release, "new") == set(), "one waits for a run, one for its revision"
    assert await claimed(release, "old") == {other}


@pytest.mark.parametrize("limit", [500, 2], ids=["with room", "near its limit"])
async def test_who_stores_a_run_claims_it_at_once_only_if_it_is_its_own(release: Service, limit: int) -> None:
    limits = QueueLimits(limit, limit, limit)
    olds, again = await interrupted(release), await interrupted(release)

    by_new = await release.enqueue(olds, limits=limits, claim_for="new", priority=Priority.HIGH)
    fresh = await release.enqueue(limits=limits, claim_for="new")
    by_old = await release.enqueue(limits=limits, claim_for="old")
    own = await release.enqueue(again, limits=limits, claim_for="old", priority=Priority.HIGH)

    assert (by_new.claimed, fresh.claimed) == (False, True), "the one before it is not the new one's"
    assert (by_old.claimed, own.claimed) == (False, False), "another one of its own is before"
    assert await claimed(release, "old") == {olds, again}


async def test_who_stores_the_answer_may_claim_it_at_once_and_is_what_it_is_pinned_to(
    release: Service,
) -> None:
    thread = await interrupted(release)

    stored = await release.enqueue(thread, claim_for="old")
    assert stored.claimed
    await release.storage.queue.release("old", [stored.run])

    assert await claimed(release, "new") == set()


@pytest.mark.parametrize("limit", [500, 2], ids=["with room", "near its limit"])
async def test_a_run_that_was_stored_as_claimed_is_pinned(release: Service, limit: int) -> None:
    stored = await release.enqueue(claim_for="new", limits=QueueLimits(limit, limit, limit))
    await joins(release, "next", "3", "open")
    assert stored.claimed
    await release.storage.queue.release("new", [stored.run])

    assert await claimed(release, "next") == set()
    assert await claimed(release, "new") == {stored.run.thread_id}


async def test_a_run_of_a_pinned_thread_needs_room_in_the_queue(release: Service) -> None:
    """It is not stored beyond the limit because its replica has a free slot that it can't use."""
    limits, threads = QueueLimits(20, 20, 20), [await interrupted(release) for _ in range(21)]
    for each in threads[:20]:
        await release.enqueue(each, limits=limits)

    with pytest.raises(QueueFull):
        await release.enqueue(threads[20], limits=limits, claim_for="new")


async def test_replicas_without_pins_take_all_and_pin_nothing(release: Service) -> None:
    thread = await interrupted(release)
    await release.enqueue(thread)
    await joins(release, "rolling", "3", None)

    assert await claimed(release, "rolling") == {thread}
    (run,) = await release.storage.queue.held("rolling")
    await release.storage.queue.finish(run, "rolling", INTERRUPTED)
    await release.enqueue(thread)

    assert await claimed(release, "new") == {thread}


async def test_what_is_pinned_elsewhere_counts_as_blocked(release: Service) -> None:
    thread = await interrupted(release)
    await release.enqueue(thread)
    await release.enqueue()

    depth = await release.storage.queue.depth()

    assert (depth.normal.waiting, depth.blocked) == (1, 1), "more of the new replicas would not help it"


async def test_a_graph_that_only_an_old_revision_has_serves_no_new_threads(service: Service) -> None:
    await joins(service, "old", "1", "closed", ["removed", "kept"])
    await joins(service, "new", "2", "open", ["kept"])
    thread = await interrupted(service)
    await service.enqueue(thread, graph_id="removed")
    fresh = await service.enqueue(graph_id="removed")

    assert (await service.storage.queue.depth()).unserved == {"removed": 1}
    ended = await service.storage.queue.end_unserved({"removed": "no replica has it"}, 0.0)
    assert [run.run_id for run in ended] == [fresh.run.run_id]
    assert await claimed(service, "old") == {thread}


async def test_a_run_of_a_revision_that_is_away_is_not_ended_with_those_of_a_graph_that_nobody_has(
    service: Service,
) -> None:
    """Its replicas may come back: until what is pinned to them is freed, it waits for them."""
    await joins(service, "new", "2", "open", ["kept"])
    thread = await interrupted(service)
    await service.enqueue(thread, graph_id="removed")
    fresh = await service.enqueue(graph_id="removed")

    ended = await service.storage.queue.end_unserved({"removed": "no replica has it"}, 0.0)

    assert [run.run_id for run in ended] == [fresh.run.run_id]
    await joins(service, "old", "1", "closed", ["removed", "kept"])
    assert await claimed(service, "old") == {thread}


@pytest.mark.parametrize("how", ["its state was set", "its version was restored", "its run was given up"])
async def test_what_is_not_interrupted_any_more_is_pinned_to_nothing_when_a_request_sets_its_state(
    release: Service, lease_runs_out: RunsOut, how: str
) -> None:
    thread, threads = await interrupted(release), release.storage.threads
    if how == "its state was set":
        await threads.set_state(thread, {}, {}, "idle")
    elif how == "its version was restored":
        await release.storage.versions.add(NewVersion(thread, "c1", values={}))
    else:
        await release.enqueue(thread)
        assert await claimed(release, "old") == {thread}
        lease_runs_out("old")
        await release.storage.queue.reap(1)
        await joins(release, "old again", "1", "closed")

    await threads.set_state(thread, {}, {"task": [{"value": "sure?"}]}, "interrupted")
    assert (await pins(release))["1"] == (0, 0, 0)
    await release.enqueue(thread)

    assert await claimed(release, "new") == {thread}


async def test_a_thread_whose_state_is_set_while_it_waits_stays_with_its_revision(release: Service) -> None:
    thread, question = await interrupted(release), {"task": [{"value": "sure?"}]}
    await release.storage.threads.set_state(thread, {"n": 1}, question, "interrupted")
    await release.storage.versions.add(NewVersion(thread, "c1", values={"n": 2}, status="interrupted"))
    await release.enqueue(thread)

    assert await claimed(release, "new") == set()
    assert await claimed(release, "old") == {thread}


async def test_what_is_pinned_is_counted_by_revision(release: Service) -> None:
    thread, run = await interrupted(release), await begun(release)
    await interrupted(release, "0")
    assert run.thread_id != thread
    await release.enqueue(thread)

    assert await pins(release) == {"0": (1, 0, 0), "1": (1, 2, 0), "2": (0, 0, 0)}


async def test_the_count_of_another_replica_serves_while_it_is_young(release: Service) -> None:
    before = await pins(release)
    await interrupted(release)

    assert await pins(release, period_seconds=3600.0) == before
    assert (await pins(release))["1"] == (1, 0, 0)


async def test_a_count_from_before_the_clock_was_set_back_is_not_young(
    release: Service, database_uri: str
) -> None:
    """Else nobody would look until the clock has made up for it."""
    await pins(release)
    await interrupted(release)
    later = "seen_at + 7200" if is_sqlite(database_uri) else "seen_at + interval '2 hours'"
    edit_row(database_uri, f"UPDATE lgs_revision SET seen_at = {later} WHERE revision = ?", "2")

    assert (await pins(release, period_seconds=3600.0))["1"] == (1, 0, 0)


async def test_nothing_is_moved_while_a_replica_of_its_revision_is_there(release: Service) -> None:
    thread = await interrupted(release)
    for _ in range(3):
        assert await pins(release, 0.0) == {"1": (1, 0, 0), "2": (0, 0, 0)}
    await release.enqueue(thread)

    assert await claimed(release, "new") == set()


async def test_what_is_pinned_to_a_revision_that_is_gone_for_long_goes_on_with_the_new_one(
    release: Service,
) -> None:
    threads = [await interrupted(release) for _ in range(3)]
    handed_back = await begun(release)
    await release.storage.queue.release("before", [handed_back])
    await leaves(release, "before")
    await release.enqueue(threads[0])
    await leaves(release, "old")

    assert (await pins(release, 3600.0))["1"] == (3, 2, 0), "it may come back"
    assert await claimed(release, "new") == set()
    assert (await pins(release, 0.0))["1"] == (3, 2, 4)

    assert await claimed(release, "new") == {threads[0], handed_back.thread_id}
    await release.enqueue(threads[1])
    assert await claimed(release, "new") == {threads[1]}
    assert await pins(release, 0.0) == {"2": (0, 3, 0)}


async def test_a_run_that_somebody_else_changes_is_freed_by_the_next_look(postgres_uri: str) -> None:
    """Who changes runs has locked their threads before, and a look has not: so it waits for no run."""
    async with AsyncExitStack() as stack:
        storage = await open_storage(postgres_uri, StorageOptions(lease_seconds=600))
        stack.push_async_callback(storage.close)
        service = await stack.enter_async_context(at_work(storage))
        await joins(service, "new", "2", "open")
        runs = [await begun(service)]
        await service.enqueue()
        runs += await storage.queue.claim("before", 1)
        await storage.queue.release("before", runs)
        await leaves(service, "before")
        with psycopg.connect(postgres_uri) as other:
            other.execute("SELECT FROM lgs_run WHERE run_id = %s FOR UPDATE", (runs[0].run_id,))
            async with asyncio.timeout(PATIENCE_SECONDS):
                first = await pins(service, 0.0)

        assert first["1"] == (0, 2, 1)
        assert (await pins(service, 0.0))["1"] == (0, 1, 1)
        assert await claimed(service, "new") == {run.thread_id for run in runs}


async def test_the_askers_own_revision_is_there_though_it_has_no_lease(service: Service) -> None:
    """Replicas that only answer requests have none, while those that execute are scaled to zero."""
    await interrupted(service, "2")

    assert await pins(service, 0.0, revision="2") == {"2": (1, 0, 0)}


async def test_a_revision_that_came_back_is_away_from_the_beginning_again(release: Service) -> None:
    await interrupted(release)
    await leaves(release, "old")
    await pins(release)
    await joins(release, "old", "1", "closed")
    assert (await pins(release, 0.0))["1"] == (1, 0, 0)


@pytest.mark.parametrize(
    ("before", "elapsed", "is_there", "after"),
    [
        (0.0, 5.0, False, 5.0),
        (5.0, 5.0, False, 10.0),
        (100.0, 5.0, True, 0.0),
        (5.0, -3.0, False, 5.0),
        (5.0, 86400.0, False, 5.0 + MOST_ABSENT_SECONDS),
    ],
    ids=["begins", "goes on", "is over", "clock set back", "nobody looked"],
)
def test_only_time_in_which_somebody_looks_is_absence(
    before: float, elapsed: float, is_there: bool, after: float
) -> None:
    assert absence(before, elapsed, is_there=is_there) == after


@pytest.mark.parametrize("seed", range(6))
async def test_both_databases_have_it_as_the_law_has(service: Service, seed: int) -> None:
    dice = Random(seed)
    fleet: dict[str, Release] = {}
    for number in range(4):
        pinning: Pinning | None = dice.choice(["open", "closed", None])
        names = ["0", "1", "2"] if pinning else ["0", None]
        fleet[f"r{number}"] = Release(dice.choice(names), None, pinning)
    waiting: dict[str, str | None] = {}
    for revision in ("0", "1", "2", None):
        for _ in range(3):
            thread = new_id() if revision is None else await interrupted(service, revision)
            waiting[thread] = revision
    for name, each in fleet.items():
        service.leases[name] = await service.storage.leases.take(name, None, each)
    for thread in waiting:
        await service.enqueue(thread)

    for name, each in fleet.items():
        law = {thread for thread, pin in waiting.items() if keeps(each.pinning, each.revision, pin)}

        assert await claimed(service, name) == law, (name, fleet)
        waiting = {thread: pin for thread, pin in waiting.items() if thread not in law}
