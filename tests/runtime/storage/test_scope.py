"""What is outside of a scope is not there: it can't be read, listed, counted, changed or run on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lgs_runtime.database.json_columns import contains
from lgs_runtime.errors import Conflict, Forbidden, NotFound
from lgs_runtime.model import Assistant, Cron, NewRun, Outcome, Page, Scope
from lgs_runtime.storage.actor import acting
from lgs_runtime.storage.queries import AssistantQuery, CronQuery, RunQuery, ThreadQuery
from lgs_runtime.storage.scope import check_kept, covers, made_within
from support.service import LIMITS, Service, new_id

ALICE = Scope(({"owner": "alice"},))
BOB = Scope(({"owner": "bob"},))
BOTH = Scope(({"owner": "bob"}, {"shared": ["alice", "bob"]}))
PAGE = Page(limit=100)


async def thread_of(service: Service, owner: str, **more: object) -> str:
    thread_id = new_id()
    await service.storage.threads.create(thread_id, {"owner": owner, **more})
    return thread_id


async def test_a_thread_outside_of_the_scope_is_not_found_and_not_changed(service: Service) -> None:
    thread_id = await thread_of(service, "alice")
    storage = service.storage

    for attempt in (
        storage.threads.get(thread_id, BOB),
        storage.threads.update(thread_id, {"owner": "bob"}, None, BOB),
        storage.threads.delete(thread_id, BOB),
        storage.threads.copy(thread_id, new_id(), None, BOB),
    ):
        with pytest.raises(NotFound):
            await attempt
    with pytest.raises(Conflict):
        await storage.threads.create(thread_id, {"owner": "bob"}, "do_nothing", None, BOB)

    assert (await storage.threads.get(thread_id, ALICE)).metadata == {"owner": "alice"}


async def test_a_thread_can_not_be_moved_out_of_the_scope(service: Service) -> None:
    thread_id = await thread_of(service, "alice")

    with pytest.raises(NotFound):
        await service.storage.threads.update(thread_id, {"owner": "bob"}, None, ALICE)
    changed = await service.storage.threads.update(thread_id, {"topic": "tea"}, None, ALICE)

    assert changed.metadata == {"owner": "alice", "topic": "tea"}


async def test_a_search_and_a_count_know_nothing_else(service: Service) -> None:
    own = await thread_of(service, "bob", tag="scope")
    shared = await thread_of(service, "alice", tag="scope", shared=["carol", "bob", "alice"])
    foreign = await thread_of(service, "alice", tag="scope", shared=["alice"])
    none = Scope(())

    found = {
        name: {
            t.thread_id
            for t in await service.storage.threads.search(
                ThreadQuery(page=PAGE, metadata={"tag": "scope"}, scope=scope)
            )
        }
        for name, scope in {"bob": BOB, "both": BOTH, "none": none, "all": None}.items()
    }
    by_id = await service.storage.threads.search(ThreadQuery(page=PAGE, ids=[own, foreign], scope=BOB))

    assert found == {"bob": {own}, "both": {own, shared}, "none": set(), "all": {own, shared, foreign}}
    assert [thread.thread_id for thread in by_id] == [own]
    counted = [
        await service.storage.threads.count(ThreadQuery(metadata={"tag": "scope"}, scope=scope))
        for scope in (BOB, BOTH, none, None)
    ]
    assert counted == [1, 2, 0, 3]


async def test_a_scalar_in_the_scope_is_no_member_of_a_list(service: Service) -> None:
    thread_id = new_id()
    await service.storage.threads.create(thread_id, {"owner": ["bob", "alice"]})

    with pytest.raises(NotFound):
        await service.storage.threads.get(thread_id, BOB)


async def test_no_run_is_put_on_a_thread_outside_of_the_scope(service: Service) -> None:
    replica = await service.replica()
    thread_id = await thread_of(service, "alice")

    for claim_for in (None, replica):
        for create in (True, False):
            with pytest.raises(NotFound):
                await service.enqueue(thread_id, claim_for=claim_for, create_thread=create, scope=BOB)
    await service.enqueue(thread_id, scope=ALICE)
    for strategy in ("enqueue", "interrupt", "rollback", "reject"):
        with pytest.raises(NotFound):
            await service.enqueue(thread_id, scope=BOB, multitask_strategy=strategy)

    assert len(await service.storage.runs.of_thread(thread_id, RunQuery(page=PAGE))) == 1
    assert (await service.storage.runs.of_thread(thread_id, RunQuery(page=PAGE)))[0].cancel_requested is None


async def test_a_thread_made_for_a_run_has_the_metadata_it_is_made_with(service: Service) -> None:
    thread_id = new_id()

    made = {"created_metadata": {"owner": "alice"}, "thread_metadata": {"graph_id": "g"}}
    await service.enqueue(thread_id, scope=ALICE, **made)
    await service.enqueue(
        thread_id, scope=ALICE, created_metadata={"owner": "x"}, thread_metadata={"graph_id": "h"}
    )

    assert (await service.storage.threads.get(thread_id)).metadata == {"owner": "alice", "graph_id": "g"}


async def test_runs_are_within_the_scope_of_their_thread(service: Service) -> None:
    await service.replica()
    thread_id = await thread_of(service, "alice")
    run = await service.running(thread_id)
    storage, later = service.storage, run.created_at + timedelta(minutes=1)

    for attempt in (
        storage.runs.get(run.run_id, thread_id, BOB),
        storage.queue.cancel(thread_id, [run.run_id], "interrupt", BOB),
        storage.runs.delete(thread_id, run.run_id, BOB),
    ):
        with pytest.raises(NotFound):
            await attempt

    assert await storage.runs.of_thread(thread_id, RunQuery(page=PAGE, scope=BOB)) == []
    assert run.run_id not in await storage.runs.unfinished(["running"], "interrupt", later, BOB)
    assert run.run_id in await storage.runs.unfinished(["running"], "interrupt", later, ALICE)
    assert (await storage.runs.get(run.run_id, None, ALICE)).cancel_requested is None
    await storage.queue.finish(run, "r1", Outcome("success"))
    with pytest.raises(NotFound):
        await storage.runs.delete(thread_id, run.run_id, BOB)
    await storage.runs.delete(thread_id, run.run_id, ALICE)


async def test_a_stateless_run_stays_its_users_when_its_thread_is_gone(service: Service) -> None:
    await service.replica()
    owned = {"created_metadata": {"owner": "alice"}, "scope": ALICE}
    with acting("alice"):
        run = await service.running(**owned, delete_thread_after=True)
    await service.storage.queue.finish(run, "r1", Outcome("success", values={"a": 1}))

    with pytest.raises(NotFound):
        await service.storage.threads.get(run.thread_id)
    with pytest.raises(NotFound):
        await service.storage.runs.get(run.run_id, run.thread_id, BOB)
    found = await service.storage.runs.get(run.run_id, run.thread_id, ALICE)
    assert (found.result, found.created_by) == ({"a": 1}, "alice")


async def test_many_runs_are_stored_within_the_scope_or_none(service: Service) -> None:
    mine, foreign = await thread_of(service, "bob"), await thread_of(service, "alice")
    new = [NewRun(new_id(), thread_id, service.assistant_id, {}, scope=BOB) for thread_id in (mine, foreign)]

    with pytest.raises(NotFound):
        await service.storage.queue.enqueue_all(new, LIMITS)

    assert await service.storage.runs.of_thread(mine, RunQuery(page=PAGE)) == []


async def test_assistants_and_their_versions_are_within_a_scope(service: Service) -> None:
    storage = service.storage
    now = await storage.now()
    made = Assistant(new_id(), "g", "scoped", None, {}, {}, {"owner": "alice"}, 1, now, now)
    await storage.assistants.create(made)
    await storage.assistants.update(made.assistant_id, {"name": "scoped"}, ALICE)

    for attempt in (
        storage.assistants.get(made.assistant_id, BOB),
        storage.assistants.update(made.assistant_id, {"name": "mine"}, BOB),
        storage.assistants.set_latest(made.assistant_id, 1, BOB),
        storage.assistants.delete(made.assistant_id, scope=BOB),
    ):
        with pytest.raises(NotFound):
            await attempt
    with pytest.raises(Conflict):
        await storage.assistants.create(made, "do_nothing", BOB)

    assert await storage.assistants.versions(made.assistant_id, PAGE, None, BOB) == []
    assert len(await storage.assistants.versions(made.assistant_id, PAGE, None, ALICE)) == 2
    assert await storage.assistants.search(AssistantQuery(page=PAGE, name="scoped", scope=BOB)) == []
    assert await storage.assistants.count(AssistantQuery(name="scoped", scope=BOB)) == 0
    assert await storage.assistants.count(AssistantQuery(name="scoped", scope=ALICE)) == 1
    assert (await storage.assistants.set_latest(made.assistant_id, 1, ALICE)).version == 1


async def test_deleting_an_assistant_leaves_the_threads_of_others(service: Service) -> None:
    storage, now = service.storage, await service.storage.now()
    made = Assistant(new_id(), "g", "n", None, {}, {}, {}, 1, now, now)
    await storage.assistants.create(made)
    mine = await thread_of(service, "bob", assistant_id=made.assistant_id)
    foreign = await thread_of(service, "alice", assistant_id=made.assistant_id)

    await storage.assistants.delete(made.assistant_id, delete_threads=True, threads_scope=BOB)

    assert (await storage.threads.get(foreign)).thread_id == foreign
    with pytest.raises(NotFound):
        await storage.threads.get(mine)


async def test_crons_are_within_a_scope_and_know_who_made_them(service: Service) -> None:
    storage, now = service.storage, await service.storage.now()
    cron = Cron(
        cron_id=new_id(),
        assistant_id=service.assistant_id,
        thread_id=None,
        schedule="0 9 * * *",
        timezone=None,
        payload={},
        metadata={"owner": "alice"},
        on_run_completed="delete",
        end_time=None,
        enabled=True,
        next_run_date=None,
        created_at=now,
        updated_at=now,
        caller={"identity": "alice"},
    )
    await storage.crons.create(cron)

    for attempt in (
        storage.crons.get(cron.cron_id, BOB),
        storage.crons.update(cron.cron_id, {"schedule": "1 1 * * *"}, BOB),
        storage.crons.delete(cron.cron_id, BOB),
    ):
        with pytest.raises(NotFound):
            await attempt

    assert (await storage.crons.get(cron.cron_id, ALICE)).caller == {"identity": "alice"}
    assert await storage.crons.search(CronQuery(page=PAGE, metadata={"owner": "alice"}, scope=BOB)) == []
    assert await storage.crons.count(CronQuery(metadata={"owner": "alice"}, scope=BOB)) == 0
    changed = await storage.crons.update(cron.cron_id, {"caller": {"identity": "root"}}, ALICE)
    assert changed.caller == {"identity": "root"}
    await storage.crons.delete(cron.cron_id, ALICE)


def test_what_is_made_in_a_scope_is_made_to_match_it() -> None:
    assert made_within(ALICE, {"topic": "tea"}) == {"topic": "tea", "owner": "alice"}
    assert made_within(ALICE, {"owner": "alice"}) == {"owner": "alice"}
    for scope, metadata in ((ALICE, {"owner": "bob"}), (BOTH, {"topic": "tea"}), (Scope(()), {})):
        with pytest.raises(Forbidden):
            made_within(scope, metadata)
    check_kept(ALICE, {"topic": "tea"})
    with pytest.raises(Forbidden):
        check_kept(ALICE, {"owner": "bob"})


scalars = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "b", "1"])
documents = st.dictionaries(st.sampled_from("xyz"), scalars | st.lists(scalars, max_size=2), max_size=2)


@given(documents, documents)
def test_what_a_scope_makes_is_always_within_it(wanted: dict[str, object], said: dict[str, object]) -> None:
    scope = Scope((wanted,))
    try:
        made = made_within(scope, said)
    except Forbidden:
        assert not contains(said, wanted)
        return

    assert covers(scope, made)
    assert {name: made[name] for name in said} == said


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(documents, max_size=3), documents)
async def test_both_databases_agree_with_the_scope(
    service: Service, wanted: list[dict[str, object]], metadata: dict[str, object]
) -> None:
    scope, thread_id = Scope(tuple(wanted)), new_id()
    await service.storage.threads.create(thread_id, metadata)

    assert len(
        await service.storage.threads.search(ThreadQuery(page=PAGE, ids=[thread_id], scope=scope))
    ) == covers(scope, metadata)
