"""Who did what to a thread is written down with the change itself, and outlasts runs and threads."""

from __future__ import annotations

from typing import Any

from lgs_runtime.model import Outcome, Page, Ttl
from lgs_runtime.storage import Storage
from lgs_runtime.storage.actor import acting
from lgs_runtime.storage.histories import NewVersion
from support.service import Service, new_id


async def trail(storage: Storage, thread_id: str) -> list[tuple[str, str | None]]:
    """What was done and by whom, oldest first."""
    found = await storage.audit.of_thread(thread_id, Page(limit=1000))
    return [(entry.what, entry.who) for entry in reversed(found)]


async def details(storage: Storage, thread_id: str, what: str) -> Any:
    """Of the newest entry of this kind."""
    found = await storage.audit.of_thread(thread_id, Page(limit=1000))
    return next(entry.details for entry in found if entry.what == what)


async def test_every_change_of_a_thread_is_told_in_its_order(service: Service) -> None:
    storage, thread_id, copy = service.storage, new_id(), new_id()
    with acting("ada"):
        await storage.threads.create(thread_id, {})
        await storage.threads.update(thread_id, {"kind": "mail"})
        await storage.threads.set_state(thread_id, {"n": 1}, {}, "idle")
    with acting("bob"):
        await storage.versions.add(NewVersion(thread_id, "c1"))
        await storage.versions.describe(thread_id, 1, "good", {})
        await storage.versions.add(NewVersion(thread_id, "c2", metadata={"rollback_from": 1}))
        await storage.threads.copy(thread_id, copy)
    await storage.audit.note(thread_id, "thread.exported", {"checkpoints": 3})

    assert await trail(storage, thread_id) == [
        ("thread.created", "ada"),
        ("thread.updated", "ada"),
        ("state.updated", "ada"),
        ("version.saved", "bob"),
        ("version.described", "bob"),
        ("version.rolled_back", "bob"),
        ("thread.exported", None),
    ]
    assert await details(storage, thread_id, "thread.updated") == {"metadata": ["kind"]}
    assert (await details(storage, thread_id, "version.rolled_back"))["rollback_from"] == 1
    assert await trail(storage, copy) == [("thread.created", "bob"), ("thread.copied", "bob")]
    assert await details(storage, copy, "thread.copied") == {"from": thread_id}


async def test_runs_are_told_as_long_as_they_are_kept_and_afterwards_alike(service: Service) -> None:
    await service.replica()
    thread_id = new_id()
    with acting("ada"):
        run = await service.running(thread_id)
    await service.storage.queue.finish(run, "r1", Outcome("success", checkpoint_id="c1"))
    before = await service.storage.audit.of_thread(thread_id, Page())

    await service.storage.runs.expire(-1)

    assert await service.storage.audit.of_thread(thread_id, Page()) == before
    assert [(entry.what, entry.who) for entry in before] == [
        ("run.ended", None),
        ("run.created", "ada"),
        ("thread.created", "ada"),
    ]
    ended = {"run_id": run.run_id, "status": "success", "version": 1}
    assert before[0].details == ended


async def test_runs_that_were_stopped_taken_back_or_deleted_are_told(service: Service) -> None:
    await service.replica()
    thread_id = new_id()
    stopped = await service.running(thread_id)
    waiting = (await service.enqueue(thread_id)).run
    with acting("ada"):
        await service.storage.queue.cancel(thread_id, [stopped.run_id], "interrupt")
        await service.storage.queue.cancel(thread_id, [waiting.run_id], "rollback")
    await service.storage.queue.finish(stopped, "r1", Outcome("interrupted"))
    with acting("bob"):
        await service.storage.runs.delete(thread_id, stopped.run_id)

    told = await trail(service.storage, thread_id)

    assert sorted(told, key=lambda entry: entry[0]) == [
        ("run.cancelled", "ada"),
        ("run.cancelled", "ada"),
        ("run.created", None),
        ("run.created", None),
        ("run.deleted", "bob"),
        ("run.ended", None),
        ("run.rolled_back", None),
        ("thread.created", None),
    ]
    assert (await details(service.storage, thread_id, "run.rolled_back"))["run_id"] == waiting.run_id


async def test_the_trail_outlasts_its_thread_for_a_while(service: Service) -> None:
    await service.replica()
    gone, kept = new_id(), new_id()
    run = await service.running(gone)
    await service.storage.queue.finish(run, "r1", Outcome("success"))
    await service.storage.threads.create(kept, {})

    with acting("ada"):
        await service.storage.threads.delete(gone)

    assert await trail(service.storage, gone) == [
        ("thread.created", None),
        ("run.created", None),
        ("run.ended", None),
        ("thread.deleted", "ada"),
    ]
    assert await service.storage.audit.expire(1) == 0
    assert await service.storage.audit.expire(60 / 86_400) == 0, "a minute of a day"
    assert await service.storage.audit.expire(-1) == 4
    assert await trail(service.storage, gone) == []
    assert await trail(service.storage, kept) == [("thread.created", None)]


async def test_a_thread_whose_time_has_passed_is_told_as_deleted(service: Service) -> None:
    thread = await service.storage.threads.create(new_id(), {}, ttl=Ttl(-1.0))

    assert await service.storage.threads.expire(100) == [thread.thread_id]

    assert await trail(service.storage, thread.thread_id) == [
        ("thread.created", None),
        ("thread.deleted", None),
    ]
    assert await details(service.storage, thread.thread_id, "thread.deleted") == {"reason": "ttl"}


async def test_threads_of_stateless_runs_leave_no_trail(service: Service) -> None:
    await service.replica()
    run = await service.running(delete_thread_after=True)
    await service.storage.queue.finish(run, "r1", Outcome("success"))

    deleted = await service.running(delete_thread_after=True)
    await service.storage.queue.finish(deleted, "r1", Outcome("success"))
    await service.storage.runs.delete(deleted.thread_id, deleted.run_id)

    await service.storage.runs.expire(-1)

    assert await trail(service.storage, run.thread_id) == []
    assert await trail(service.storage, deleted.thread_id) == []
