"""Assistants keep every version, threads are found by what they hold, and both are deleted on request."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from lgs_runtime.errors import Conflict, InvalidRequest, LeaseLost, NotFound
from lgs_runtime.model import Assistant, Outcome, Page, Signal, Ttl
from lgs_runtime.storage import Storage
from lgs_runtime.storage.queries import AssistantQuery, RunQuery, ThreadQuery
from support.ports import PATIENCE_SECONDS
from support.service import Service, new_id


async def made(storage: Storage, **more: object) -> Assistant:
    """A stored assistant."""
    now = await storage.now()
    assistant = Assistant(
        new_id(), "agent", "Helper", None, {"a": {"b": [1, 2]}}, {}, {"team": "x"}, 1, now, now
    )
    return await storage.assistants.create(replace(assistant, **more))  # type: ignore[arg-type]


async def test_an_assistant_is_stored_as_it_was_given(storage: Storage) -> None:
    assistant = await made(storage, description="helps")

    assert await storage.assistants.get(assistant.assistant_id) == assistant
    assert (assistant.version, assistant.config, assistant.description) == (1, {"a": {"b": [1, 2]}}, "helps")


async def test_an_assistant_that_exists_is_refused_or_returned(storage: Storage) -> None:
    assistant = await made(storage)

    with pytest.raises(Conflict, match=assistant.assistant_id):
        await storage.assistants.create(assistant)
    same = await storage.assistants.create(replace(assistant, name="Other"), if_exists="do_nothing")

    assert same.name == "Helper"


async def test_a_change_is_a_new_version(storage: Storage) -> None:
    assistant = await made(storage)

    changed = await storage.assistants.update(
        assistant.assistant_id, {"name": "New", "metadata": {"level": 2}}
    )

    assert (changed.version, changed.name, changed.metadata) == (2, "New", {"team": "x", "level": 2})
    versions = await storage.assistants.versions(assistant.assistant_id, Page())
    assert [(version.version, version.name) for version in versions] == [(2, "New"), (1, "Helper")]
    found = await storage.assistants.versions(assistant.assistant_id, Page(), {"level": 2})
    assert [version.version for version in found] == [2]


async def test_changes_at_once_all_become_versions(storage: Storage) -> None:
    assistant = await made(storage)

    names = [f"n{number}" for number in range(6)]
    await asyncio.gather(
        *(storage.assistants.update(assistant.assistant_id, {"name": name}) for name in names)
    )

    versions = await storage.assistants.versions(assistant.assistant_id, Page())
    assert [version.version for version in versions] == [7, 6, 5, 4, 3, 2, 1]
    assert {version.name for version in versions} == {"Helper", *names}


async def test_an_old_version_becomes_current_and_the_next_change_gets_a_new_number(storage: Storage) -> None:
    assistant = await made(storage)
    await storage.assistants.update(assistant.assistant_id, {"name": "New"})

    old = await storage.assistants.set_latest(assistant.assistant_id, 1)
    changed = await storage.assistants.update(assistant.assistant_id, {"graph_id": "other"})

    assert (old.version, old.name) == (1, "Helper")
    assert (changed.version, changed.name, changed.graph_id) == (3, "Helper", "other")
    with pytest.raises(NotFound, match="version 9"):
        await storage.assistants.set_latest(assistant.assistant_id, 9)


async def test_what_can_not_be_changed_is_named(storage: Storage) -> None:
    assistant = await made(storage)

    with pytest.raises(InvalidRequest, match="version can't be changed"):
        await storage.assistants.update(assistant.assistant_id, {"version": 7})


async def test_assistants_are_found_by_graph_name_and_metadata(storage: Storage) -> None:
    first = await made(
        storage, name="100% Helper_one", metadata={"tags": ["a", "b"], "team": {"id": 1, "x": 2}}
    )
    await made(storage, name="Other", graph_id="second")

    async def names(**wanted: object) -> list[str]:
        query = AssistantQuery(**wanted)  # type: ignore[arg-type]
        found = await storage.assistants.search(replace(query, page=Page(sort_by="name", sort_order="asc")))
        assert await storage.assistants.count(query) == len(found)
        return [assistant.name for assistant in found]

    assert await names() == ["100% Helper_one", "Other"]
    assert await names(name="HELPER_ONE") == ["100% Helper_one"]
    assert await names(name="%") == ["100% Helper_one"]
    assert await names(graph_id="second") == ["Other"]
    assert await names(metadata={"tags": ["b"], "team": {"id": 1}}) == ["100% Helper_one"]
    assert await names(metadata={"team": {"id": True}}) == []
    assert len(await storage.assistants.search(AssistantQuery(page=Page(limit=1, offset=1)))) == 1
    await storage.assistants.delete(first.assistant_id)
    assert await names() == ["Other"]


async def test_a_sort_column_is_never_taken_as_sql(storage: Storage) -> None:
    with pytest.raises(InvalidRequest, match="sort_by is name; DROP TABLE lgs_run"):
        await storage.assistants.search(AssistantQuery(page=Page(sort_by="name; DROP TABLE lgs_run")))


async def test_a_deleted_assistant_takes_its_versions_and_if_asked_its_threads(service: Service) -> None:
    storage = service.storage
    await storage.threads.create("mine", {"assistant_id": service.assistant_id})
    await storage.threads.create("other", {})

    await storage.assistants.delete(service.assistant_id, delete_threads=True)

    assert await storage.assistants.versions(service.assistant_id, Page()) == []
    assert [thread.thread_id for thread in await storage.threads.search(ThreadQuery())] == ["other"]
    with pytest.raises(NotFound):
        await storage.assistants.delete(service.assistant_id)


async def test_a_thread_that_exists_is_refused_or_returned(storage: Storage) -> None:
    thread = await storage.threads.create("t1", {"n": 1})

    with pytest.raises(Conflict, match="t1"):
        await storage.threads.create("t1", {})

    assert await storage.threads.create("t1", {"n": 2}, if_exists="do_nothing") == thread
    assert (thread.status, thread.values, thread.interrupts) == ("idle", None, {})


async def test_the_metadata_of_a_thread_is_merged(storage: Storage) -> None:
    await storage.threads.create("t1", {"a": 1, "b": 1})

    thread = await storage.threads.update("t1", {"b": 2, "c": "\u0000"})

    assert thread.metadata == {"a": 1, "b": 2, "c": "\u0000"}
    with pytest.raises(NotFound):
        await storage.threads.update("t2", {})


async def test_a_state_that_was_set_shows_and_a_busy_thread_stays_busy(service: Service) -> None:
    await service.storage.threads.create("t1", {})
    idle = await service.storage.threads.set_state("t1", {"n": 1}, {"task": []}, "interrupted")
    await service.enqueue("t1")

    busy = await service.storage.threads.set_state("t1", {"n": 2}, {}, "idle")

    assert (idle.status, idle.values, idle.interrupts) == ("interrupted", {"n": 1}, {"task": []})
    assert (busy.status, busy.values) == ("busy", {"n": 2})


async def test_threads_are_found_by_id_metadata_values_and_status(service: Service) -> None:
    storage = service.storage
    await storage.threads.create("a", {"user": "u1"})
    await storage.threads.create("b", {"user": "u1"})
    await storage.threads.set_state("b", {"topic": {"name": "x", "n": 1}}, {}, "idle")
    await service.enqueue("c", thread_metadata={"user": "u2"})

    async def ids(**wanted: object) -> list[str]:
        query = ThreadQuery(**wanted)  # type: ignore[arg-type]
        found = await storage.threads.search(replace(query, page=Page(sort_by="thread_id", sort_order="asc")))
        assert await storage.threads.count(query) == len(found)
        return [thread.thread_id for thread in found]

    assert await ids() == ["a", "b", "c"]
    assert await ids(metadata={"user": "u1"}) == ["a", "b"]
    assert await ids(values={"topic": {"name": "x"}}) == ["b"]
    assert await ids(status="busy") == ["c"]
    assert await ids(ids=["c", "a", "zz"]) == ["a", "c"]
    assert await ids(ids=[]) == []


async def test_a_copy_has_the_values_and_is_idle(service: Service) -> None:
    await service.storage.threads.create("t1", {"user": "u1"})
    await service.storage.threads.set_state("t1", {"n": 1}, {}, "interrupted")
    await service.enqueue("t1")

    copy = await service.storage.threads.copy("t1", "t2")

    assert (copy.status, copy.values, copy.metadata) == ("idle", {"n": 1}, {"user": "u1"})
    with pytest.raises(Conflict):
        await service.storage.threads.copy("t1", "t2")
    with pytest.raises(NotFound):
        await service.storage.threads.copy("t9", "t3")


async def test_a_deleted_thread_takes_its_runs_along_and_stops_them(service: Service) -> None:
    await service.replica()
    run = await service.running("t1")
    waiting = (await service.enqueue("t1")).run
    missing = {Signal("cancel", run.run_id), Signal("thread", "t1")}
    missing |= {Signal("finished", each.run_id) for each in (run, waiting)}
    async with service.storage.signals.listen() as signals:
        await service.storage.threads.delete("t1")

        async with asyncio.timeout(PATIENCE_SECONDS):
            while missing:
                missing.discard(await anext(signals))

    assert await service.storage.runs.of_thread("t1", RunQuery()) == []
    with pytest.raises(LeaseLost):
        await service.storage.queue.finish(run, "r1", Outcome("success"))
    with pytest.raises(NotFound):
        await service.storage.threads.delete("t1")


async def test_threads_whose_time_has_passed_go_unless_they_are_busy(service: Service) -> None:
    storage = service.storage
    await storage.threads.create("old", {}, ttl=Ttl(-1.0))
    await storage.threads.create("busy", {}, ttl=Ttl(-1.0))
    await storage.threads.create("young", {}, ttl=Ttl(600.0))
    await storage.threads.create("for ever", {})
    await service.enqueue("busy")

    gone = await storage.threads.expire(100)

    assert list(gone) == ["old"]
    assert await storage.threads.count(ThreadQuery()) == 3


async def test_a_sweep_deletes_no_more_threads_than_it_may(storage: Storage) -> None:
    for number in range(3):
        await storage.threads.create(f"old {number}", {}, ttl=Ttl(-1.0))

    gone = [await storage.threads.expire(2) for _ in range(3)]

    assert [len(threads) for threads in gone] == [2, 1, 0]


async def test_threads_to_be_thinned_out_are_found_until_that_is_done_and_again_when_changed(
    service: Service,
) -> None:
    storage, over = service.storage, Ttl(-1.0, "keep_latest")
    await storage.threads.create("over", {}, ttl=over)
    await storage.threads.create("busy", {}, ttl=over)
    await storage.threads.create("young", {}, ttl=Ttl(600.0, "keep_latest"))
    await storage.threads.create("mortal", {}, ttl=Ttl(-1.0))
    await service.enqueue("busy")

    (found,) = await storage.threads.stale(10)
    await storage.threads.note_pruned(found)
    noted = await storage.threads.stale(10)
    told = (await storage.threads.get("over")).expires_at
    await storage.threads.update("over", {"a": 1})
    (again,) = await storage.threads.stale(10)
    await storage.threads.note_pruned(found)

    assert (found.thread_id, found.ttl) == ("over", over)
    assert (noted, told) == ([], None)
    assert [thread.thread_id for thread in await storage.threads.stale(10)] == ["over"]
    assert again.updated_at > found.updated_at and again.expires_at is not None
    assert list(await storage.threads.expire(10)) == ["mortal"]


async def test_a_copy_lives_as_long_as_it_is_given_and_not_as_its_source(storage: Storage) -> None:
    await storage.threads.create("source", {}, ttl=Ttl(-1.0))

    await storage.threads.copy("source", "for ever")
    copied = await storage.threads.copy("source", "copy", ttl=Ttl(60.0, "keep_latest"))

    assert copied.ttl == Ttl(60.0, "keep_latest")
    assert (await storage.threads.get("for ever")).ttl is None


async def test_a_restored_threads_time_counts_from_when_it_came_back(storage: Storage) -> None:
    await storage.threads.create("old", {}, ttl=Ttl(0.001))
    record = await storage.archives.record("old")
    await storage.threads.delete("old")
    thread = {**record.thread, "ttl_seconds": 60.0, "updated_at": "2001-02-03T04:05:06+00:00"}

    await storage.archives.restore(
        replace(record, thread={**thread, "ttl_from": (await storage.now()).isoformat()})
    )

    assert await storage.threads.expire(10) == []
    assert (await storage.threads.get("old")).updated_at.year == 2001


async def test_threads_are_listed_by_id_a_page_after_the_other(storage: Storage) -> None:
    for thread_id in ("b", "c", "a"):
        await storage.threads.create(thread_id, {})

    first = await storage.archives.thread_ids("", 2)
    rest = await storage.archives.thread_ids(first[-1], 2)

    assert (first, rest) == (["a", "b"], ["c"])


async def test_a_threads_time_to_live_can_be_set_later(storage: Storage) -> None:
    thread_id = new_id()
    await storage.threads.create(thread_id, {"a": 1})

    changed = await storage.threads.update(thread_id, {"b": 2}, ttl=Ttl(-1.0))
    await storage.threads.update(thread_id, {})

    assert changed.metadata == {"a": 1, "b": 2}
    assert await storage.threads.expire(100) == [thread_id]
