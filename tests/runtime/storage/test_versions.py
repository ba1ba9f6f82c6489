"""Each end of a run that leaves a state is a version of its thread, stored with that end: once, and for
good."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from lgs_runtime.errors import Conflict, LeaseLost, NotFound
from lgs_runtime.model import Outcome, Page, Run
from lgs_runtime.storage import StorageOptions, open_storage
from lgs_runtime.storage.actor import acting
from lgs_runtime.storage.histories import NewVersion, PrunedVersions
from support.service import Service, new_id

SUCCESS = Outcome("success", values={"n": 1}, interrupts={}, checkpoint_id="c1")


async def finished(service: Service, thread_id: str, outcome: Outcome = SUCCESS) -> Run:
    """A run of the thread that has ended so."""
    run = await service.running(thread_id)
    await service.storage.queue.finish(run, "r1", outcome)
    return run


async def numbers(service: Service, thread_id: str) -> list[int]:
    """The versions of a thread, newest first."""
    return [
        version.version for version in await service.storage.versions.of_thread(thread_id, Page(limit=1000))
    ]


async def test_a_run_that_ends_with_a_state_makes_the_next_version(service: Service) -> None:
    await service.replica()
    thread_id = new_id()
    with acting("ada"):
        first = await finished(service, thread_id)

    asked = replace(SUCCESS, status="interrupted", interrupts={"t": [{"value": "?"}]}, checkpoint_id="c2")
    second = await finished(service, thread_id, asked)

    newest, oldest = await service.storage.versions.of_thread(thread_id, Page())
    assert (oldest.version, oldest.checkpoint_id, oldest.run_id) == (1, "c1", first.run_id)
    assert (newest.version, newest.checkpoint_id, newest.run_id) == (2, "c2", second.run_id)
    assert (oldest.created_by, newest.created_by) == ("ada", None)
    assert newest.interrupts == {"t": [{"value": "?"}]} and oldest.interrupts == {}
    assert (await service.storage.runs.get(second.run_id)).version == 2
    assert await service.storage.versions.get(thread_id, 1) == oldest


async def test_a_run_that_fails_or_leaves_no_thread_makes_none(service: Service) -> None:
    await service.replica()
    thread_id = new_id()
    await finished(service, thread_id, replace(SUCCESS, status="error", thread_status="error"))
    await finished(service, thread_id, replace(SUCCESS, checkpoint_id=None))
    stateless = await service.running(delete_thread_after=True)

    await service.storage.queue.finish(stateless, "r1", SUCCESS)

    assert await numbers(service, thread_id) == []
    assert await numbers(service, stateless.thread_id) == []


async def test_whoever_ends_a_run_late_or_twice_makes_no_version(service: Service) -> None:
    await service.replica()
    run = await finished(service, new_id())
    taken_back = await service.running()
    await service.storage.queue.cancel(taken_back.thread_id, [taken_back.run_id], "rollback")

    with pytest.raises(LeaseLost):
        await service.storage.queue.finish(run, "r1", SUCCESS)
    await service.storage.queue.finish(taken_back, "r1", replace(SUCCESS, undone=True))

    assert await numbers(service, run.thread_id) == [1]
    assert await numbers(service, taken_back.thread_id) == []


async def test_versions_saved_at_once_get_numbers_of_their_own(service: Service) -> None:
    thread = await service.storage.threads.create(new_id(), {})
    new = NewVersion(thread.thread_id, "c1")

    saved = await asyncio.gather(*(service.storage.versions.add(new) for _ in range(8)))

    assert sorted(version.version for version in saved) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert await numbers(service, thread.thread_id) == [8, 7, 6, 5, 4, 3, 2, 1]


async def test_a_saved_version_may_change_what_the_thread_is(service: Service) -> None:
    thread = await service.storage.threads.create(new_id(), {})
    new = NewVersion(
        thread.thread_id, "c1", {"t": [1]}, "before the move", {"rollback_from": 3}, {"n": 2}, "interrupted"
    )

    saved = await service.storage.versions.add(new)

    assert (saved.description, saved.metadata, saved.run_id) == (
        "before the move",
        {"rollback_from": 3},
        None,
    )
    changed = await service.storage.threads.get(thread.thread_id)
    assert (changed.status, changed.values, changed.interrupts) == ("interrupted", {"n": 2}, {"t": [1]})


async def test_no_version_is_added_under_a_run_or_without_a_thread(service: Service) -> None:
    await service.replica()
    run = await service.running()

    with pytest.raises(Conflict, match=f"{run.thread_id} is busy"):
        await service.storage.versions.add(NewVersion(run.thread_id, "c1"))
    with pytest.raises(NotFound, match="thread"):
        await service.storage.versions.add(NewVersion(new_id(), "c1"))

    assert await numbers(service, run.thread_id) == []


async def test_a_version_is_described_and_found_by_its_metadata(service: Service) -> None:
    thread = await service.storage.threads.create(new_id(), {})
    for _ in range(3):
        await service.storage.versions.add(NewVersion(thread.thread_id, "c1", metadata={"a": 1}))

    await service.storage.versions.describe(thread.thread_id, 2, "the good one", {"b": 2})
    described = await service.storage.versions.describe(thread.thread_id, 2, None, {"a": 3})

    assert (described.description, described.metadata) == ("the good one", {"a": 3, "b": 2})
    assert await service.storage.versions.of_thread(thread.thread_id, Page(), {"b": 2}) == [described]
    paged = await service.storage.versions.of_thread(thread.thread_id, Page(limit=1, offset=1))
    assert [version.version for version in paged] == [2]
    with pytest.raises(NotFound, match="version 9 of thread"):
        await service.storage.versions.describe(thread.thread_id, 9, None, {})
    with pytest.raises(NotFound, match="version 9 of thread"):
        await service.storage.versions.get(thread.thread_id, 9)


async def test_only_threads_over_the_limit_are_pruned_and_numbers_go_on(
    service: Service, database_uri: str
) -> None:
    small = await open_storage(database_uri, StorageOptions(60.0, versions_limit=2))
    await service.replica()
    over_limit, other = new_id(), new_id()
    storage, service.storage = service.storage, small
    try:
        for number in range(4):
            outcome = replace(SUCCESS, checkpoint_id=f"c{number}")
            await finished(service, over_limit, outcome)
        await finished(service, other)

        assert await small.versions.threads_over_limit() == [over_limit]
        assert await small.versions.prune(over_limit, 2) == PrunedVersions(2, "c2")
        await small.versions.forget_over_limit([over_limit])

        assert await numbers(service, over_limit) == [4, 3]
        assert await small.versions.threads_over_limit() == []
        assert await small.versions.prune(new_id(), 2) == PrunedVersions(0, None)
        await finished(service, over_limit)
        assert await numbers(service, over_limit) == [5, 4, 3]
    finally:
        service.storage = storage
        await small.close()


async def test_versions_go_and_are_copied_with_their_thread(service: Service) -> None:
    await service.replica()
    source, target = new_id(), new_id()
    await finished(service, source)
    await finished(service, source)

    await service.storage.threads.copy(source, target)
    await service.storage.threads.delete(source)

    assert await numbers(service, source) == []
    assert await numbers(service, target) == [2, 1]
    await finished(service, target)
    assert await numbers(service, target) == [3, 2, 1]
