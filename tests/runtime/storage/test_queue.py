"""A run that was acknowledged is kept, claimed once, in the right order, and ends once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from lgs_runtime.errors import AssistantChanged, Conflict, LeaseLost, NotFound, QueueFull
from lgs_runtime.model import Enqueued, NewRun, Outcome, Page, Priority, QueueLimits
from lgs_runtime.storage import Storage
from lgs_runtime.storage.queries import RunQuery
from support.service import Service, new_id

Another = Callable[..., Awaitable[Storage]]


async def test_an_acknowledged_run_is_seen_by_every_replica(service: Service, open_another: Another) -> None:
    stored = await service.enqueue(
        kwargs={"input": {"text": "a\u0000b", "n": 2**80}}, metadata={"user": "u1"}
    )

    seen = await (await open_another()).runs.get(stored.run.run_id)

    assert seen == stored.run
    assert seen.status == "pending" and not stored.claimed
    assert seen.kwargs["input"]["text"] == "a\u0000b"
    assert seen.metadata == {"user": "u1"}


async def test_the_same_run_stored_again_is_returned_unchanged(service: Service) -> None:
    first = await service.enqueue()
    again = NewRun(first.run.run_id, first.run.thread_id, service.assistant_id, {"input": "other"})

    second = await service.storage.queue.enqueue(again, QueueLimits())

    assert second.run == first.run
    assert len(await service.storage.runs.of_thread(first.run.thread_id, RunQuery())) == 1


async def test_the_same_run_stored_by_many_at_once_is_stored_once(service: Service) -> None:
    run_id, thread_id = new_id(), new_id()

    stored = await asyncio.gather(*(service.enqueue(thread_id, run_id=run_id) for _ in range(8)))

    assert {enqueued.run.run_id for enqueued in stored} == {run_id}
    assert len(await service.storage.runs.of_thread(thread_id, RunQuery())) == 1


async def test_a_free_replica_gets_a_new_run_at_once(service: Service) -> None:
    replica = await service.replica()

    stored = await service.enqueue(claim_for=replica)

    assert stored.claimed and stored.run.status == "running" and stored.run.attempt == 1
    assert stored.run.claimed_at is not None
    assert (await service.storage.threads.get(stored.run.thread_id)).status == "busy"


async def test_a_free_replica_does_not_jump_the_queue(service: Service) -> None:
    replica = await service.replica()
    await service.enqueue(priority=Priority.HIGH)

    stored = await service.enqueue(priority=Priority.NORMAL, claim_for=replica)

    assert not stored.claimed


async def test_a_run_that_is_blocked_holds_nobody_up(service: Service) -> None:
    replica = await service.replica()
    busy = await service.running()
    await service.enqueue(busy.thread_id)

    stored = await service.enqueue(claim_for=replica)

    assert stored.claimed


async def test_a_replica_without_a_lease_gets_nothing(service: Service) -> None:
    stored = await service.enqueue(claim_for="ghost")

    assert not stored.claimed
    assert await service.storage.queue.claim("ghost", 5) == []


async def test_urgent_runs_go_first(service: Service) -> None:
    replica = await service.replica()
    for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH):
        await service.enqueue(priority=priority)

    claimed = await service.storage.queue.claim(replica, 3)

    assert [run.priority for run in claimed] == [Priority.HIGH, Priority.NORMAL, Priority.LOW]


async def test_one_slot_gets_the_most_urgent_run(service: Service) -> None:
    replica = await service.replica()
    await service.enqueue(priority=Priority.LOW)
    await service.enqueue(priority=Priority.HIGH)

    (first,) = await service.storage.queue.claim(replica, 1)

    assert first.priority is Priority.HIGH


async def test_a_low_run_that_has_waited_long_goes_before_a_new_high_one(service: Service) -> None:
    replica = await service.replica()
    await service.enqueue(priority=Priority.HIGH)
    # Due 200 s ago: its rank is now that of a high run 80 s old.
    waited = await service.enqueue(priority=Priority.LOW, delay_seconds=-200)

    (first,) = await service.storage.queue.claim(replica, 1)

    assert first.run_id == waited.run.run_id


async def test_a_delayed_run_is_not_claimed_before_it_is_due(service: Service) -> None:
    replica = await service.replica()
    await service.enqueue(delay_seconds=3600, claim_for=replica)

    assert await service.storage.queue.claim(replica, 1) == []
    depth = await service.storage.queue.depth()
    assert (depth.normal.waiting, depth.blocked) == (0, 1)


async def test_a_delayed_run_does_not_hold_up_its_thread(service: Service) -> None:
    replica = await service.replica()
    later = await service.enqueue(delay_seconds=3600)
    now = await service.enqueue(later.run.thread_id)

    claimed = await service.storage.queue.claim(replica, 5)

    assert [run.run_id for run in claimed] == [now.run.run_id]


async def test_a_thread_runs_one_at_a_time_in_order(service: Service) -> None:
    replica = await service.replica()
    first = await service.enqueue(priority=Priority.LOW)
    second = await service.enqueue(first.run.thread_id, priority=Priority.HIGH)

    (claimed,) = await service.storage.queue.claim(replica, 5)
    assert claimed.run_id == first.run.run_id
    await service.storage.queue.finish(claimed, replica, Outcome("success"))
    (claimed,) = await service.storage.queue.claim(replica, 5)

    assert claimed.run_id == second.run.run_id


async def test_claimers_on_many_connections_never_share_a_run_or_a_thread(
    service: Service, open_another: Another
) -> None:
    storages = [service.storage, *[await open_another() for _ in range(3)]]
    replicas = [await service.replica(f"r{number}") for number in range(len(storages))]
    threads = [new_id() for _ in range(12)]
    stored = [await service.enqueue(thread, delay_seconds=-1) for thread in threads for _ in range(6)]
    claimed: Counter[str] = Counter()
    running: set[str] = set()

    async def work(storage: Storage, replica: str) -> None:
        while sum(claimed.values()) < len(stored):
            for run in await storage.queue.claim(replica, 3):
                claimed[run.run_id] += 1
                assert run.thread_id not in running, "two runs of one thread at once"
                running.add(run.thread_id)
                await asyncio.sleep(0)
                running.remove(run.thread_id)
                await storage.queue.finish(run, replica, Outcome("success"))

    workers = zip(storages * 2, replicas * 2, strict=True)
    await asyncio.gather(*(work(storage, replica) for storage, replica in workers))

    assert claimed == Counter(enqueued.run.run_id for enqueued in stored)


async def test_new_runs_and_claims_on_one_thread_never_overlap(
    service: Service, open_another: Another
) -> None:
    storages = [service.storage, await open_another()]
    replica = await service.replica()
    thread_id = new_id()
    running = 0
    ended = 0

    async def execute(storage: Storage, run: object) -> None:
        nonlocal running, ended
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        running -= 1
        ended += 1
        await storage.queue.finish(run, replica, Outcome("success"))  # type: ignore[arg-type]

    async def arrive(storage: Storage) -> None:
        new = NewRun(new_id(), thread_id, service.assistant_id, {}, create_thread=True)
        enqueued = await storage.queue.enqueue(new, QueueLimits(), replica)
        if enqueued.claimed:
            await execute(storage, enqueued.run)

    async def work(storage: Storage) -> None:
        while ended < 40:
            for run in await storage.queue.claim(replica, 2):
                await execute(storage, run)

    await asyncio.gather(*(arrive(storages[n % 2]) for n in range(40)), *(work(one) for one in storages))

    assert (await service.storage.threads.get(thread_id)).status == "idle"


async def test_a_full_queue_refuses_and_stores_nothing(service: Service) -> None:
    limits = QueueLimits(normal=2)
    for _ in range(2):
        await service.enqueue(limits=limits)
    refused = new_id()

    with pytest.raises(QueueFull, match="normal is full: it may hold 2") as full:
        await service.enqueue(refused, limits=limits)

    assert full.value.retry_after_seconds >= 1
    with pytest.raises(NotFound):
        await service.storage.threads.get(refused)
    await service.enqueue(limits=limits, priority=Priority.HIGH)


@pytest.mark.parametrize("limit", [3, 140])
async def test_a_limit_is_never_passed_by_many_at_once(
    service: Service, open_another: Another, limit: int
) -> None:
    storages = [service.storage, await open_another()]
    limits = QueueLimits(low=limit)

    async def arrive(number: int) -> bool:
        new = NewRun(new_id(), new_id(), service.assistant_id, {}, priority=Priority.LOW, create_thread=True)
        try:
            await storages[number % 2].queue.enqueue(new, limits)
        except QueueFull:
            return False
        return True

    stored = await asyncio.gather(*(arrive(number) for number in range(limit + 30)))

    assert sum(stored) == limit
    assert (await service.storage.queue.depth()).low.waiting == limit


async def test_a_claimed_run_needs_no_room_in_the_queue(service: Service) -> None:
    replica = await service.replica()

    stored = await service.enqueue(limits=QueueLimits(normal=0), claim_for=replica)

    assert stored.claimed


async def test_a_run_needs_its_assistant_and_its_thread(service: Service) -> None:
    with pytest.raises(NotFound, match="assistant"):
        await service.enqueue(assistant_id=new_id())
    with pytest.raises(NotFound, match="thread"):
        await service.enqueue(create_thread=False)


async def test_a_run_marks_its_thread(service: Service) -> None:
    await service.storage.threads.create("t1", {"owner": "me"})

    await service.enqueue("t1", create_thread=False, thread_metadata={"graph_id": "agent"})

    thread = await service.storage.threads.get("t1")
    assert thread.metadata == {"owner": "me", "graph_id": "agent"}
    assert thread.status == "busy"


async def test_a_run_that_waits_behind_another_does_not_mark_their_thread(service: Service) -> None:
    replica = await service.replica()
    first = await service.running("t1", thread_metadata={"graph_id": "chatbot"})

    await service.enqueue("t1", thread_metadata={"graph_id": "memory"}, delay_seconds=3600)
    marked = (await service.storage.threads.get("t1")).metadata
    await service.storage.queue.finish(first, replica, Outcome("success"))
    after = (await service.storage.threads.get("t1")).metadata

    assert (marked, after) == ({"graph_id": "chatbot"}, {"graph_id": "chatbot"})


async def test_the_run_that_ended_last_marks_its_thread_unless_it_is_rolled_back(service: Service) -> None:
    replica = await service.replica()
    waits = await service.enqueue("t1", thread_metadata={"graph_id": "late"}, delay_seconds=3600)

    first = await service.running("t1", created_metadata={"owner": "me"})
    await service.storage.queue.finish(first, replica, Outcome("success", thread_metadata={"graph_id": "g"}))
    ended = (await service.storage.threads.get("t1")).metadata
    second = await service.running("t1")
    await service.storage.queue.cancel("t1", [second.run_id], "rollback")
    undone = Outcome("interrupted", thread_metadata={"graph_id": "h"}, undone=True)
    await service.storage.queue.finish(second, replica, undone)

    assert waits.run.status == "pending"
    assert (ended, (await service.storage.threads.get("t1")).metadata) == (
        {"graph_id": "g"},
        {"graph_id": "g"},
    )


async def test_the_end_of_a_run_is_the_state_of_its_thread(service: Service) -> None:
    replica = await service.replica()
    run = await service.running()

    outcome = Outcome(
        "interrupted", "interrupted", values={"n": 1, "s": "\u0000x"}, interrupts={"t": [{"value": 1}]}
    )
    await service.storage.queue.finish(run, replica, outcome)

    ended = await service.storage.runs.get(run.run_id)
    thread = await service.storage.threads.get(run.thread_id)
    assert ended.status == "interrupted"
    assert (thread.status, thread.interrupts, thread.error) == ("interrupted", {"t": [{"value": 1}]}, None)
    assert thread.values == {"n": 1, "s": "\u0000x"}


async def test_a_failed_run_says_why(service: Service) -> None:
    replica = await service.replica()
    run = await service.running()

    await service.storage.queue.finish(
        run, replica, Outcome("error", "error", error="ValueError: \u0000bad \ud800")
    )

    ended = await service.storage.runs.get(run.run_id)
    assert (ended.status, ended.error) == ("error", "ValueError: \u0000bad \ud800")
    assert (await service.storage.threads.get(run.thread_id)).error == ended.error


async def test_a_thread_stays_busy_while_runs_wait_on_it(service: Service) -> None:
    replica = await service.replica()
    run = await service.running()
    await service.enqueue(run.thread_id)

    await service.storage.queue.finish(run, replica, Outcome("success", values={"n": 1}))

    thread = await service.storage.threads.get(run.thread_id)
    assert (thread.status, thread.values) == ("busy", {"n": 1})


async def test_a_stateless_run_keeps_its_result_and_not_its_thread(service: Service) -> None:
    replica = await service.replica()
    run = await service.running(delete_thread_after=True)

    await service.storage.queue.finish(run, replica, Outcome("success", values={"answer": 42}))

    assert (await service.storage.runs.get(run.run_id)).result == {"answer": 42}
    with pytest.raises(NotFound):
        await service.storage.threads.get(run.thread_id)


async def test_an_answer_that_is_less_than_the_values_is_the_runs_and_the_webhooks(service: Service) -> None:
    replica = await service.replica()
    run = await service.running(webhook="http://127.0.0.1:9/hook")
    alone = await service.running(delete_thread_after=True, webhook="http://127.0.0.1:9/hook")
    outcome = Outcome("success", values={"answer": 42, "private": 1}, answer={"answer": 42})

    for each in (run, alone):
        await service.storage.queue.finish(each, replica, outcome)

    assert (await service.storage.threads.get(run.thread_id)).values == outcome.values
    for each in (run, alone):
        assert (await service.storage.runs.get(each.run_id)).result == outcome.answer
    calls = await service.storage.webhooks.claim(10, [1.0])
    assert [call.values for call in calls] == [outcome.answer] * 2


async def test_a_webhook_is_not_told_values_that_are_not_the_runs(service: Service) -> None:
    replica = await service.replica()
    first = await service.running()
    await service.storage.queue.finish(first, replica, Outcome("success", values={"private": 1}))
    failed = await service.running(first.thread_id, webhook="http://127.0.0.1:9/hook")
    await service.storage.queue.finish(failed, replica, Outcome("error", "error", "it broke"))
    waiting = await service.enqueue(first.thread_id, webhook="http://127.0.0.1:9/hook")

    await service.storage.queue.cancel(None, [waiting.run.run_id], "interrupt")

    calls = await service.storage.webhooks.claim(10, [1.0])
    assert [call.values for call in calls] == [None, None]


async def test_to_cancel_a_stateless_run_that_has_ended_leaves_the_thread_to_its_others(
    service: Service,
) -> None:
    stateless = (await service.enqueue(delete_thread_after=True)).run
    other = (await service.enqueue(stateless.thread_id)).run
    for run in (stateless, other):
        await service.storage.queue.cancel(None, [run.run_id], "interrupt")

    await service.storage.queue.cancel(None, [stateless.run_id], "rollback")

    assert (await service.storage.threads.get(stateless.thread_id)).status == "idle"


@pytest.mark.parametrize("stateless_is_last", [False, True])
async def test_the_last_of_the_cancelled_runs_decides_whether_their_thread_stays(
    service: Service, stateless_is_last: bool
) -> None:
    stateless = (await service.enqueue(delete_thread_after=True)).run
    other = (await service.enqueue(stateless.thread_id)).run
    named = [other, stateless] if stateless_is_last else [stateless, other]

    await service.storage.queue.cancel(None, [run.run_id for run in named], "interrupt")

    assert bool(await service.storage.orphans.older_than(0)) == stateless_is_last


async def test_a_run_ends_once(service: Service) -> None:
    replica = await service.replica()
    run = await service.running()
    await service.storage.queue.finish(run, replica, Outcome("success"))

    with pytest.raises(LeaseLost):
        await service.storage.queue.finish(run, replica, Outcome("error", "error", error="late"))

    assert (await service.storage.runs.get(run.run_id)).status == "success"


async def test_the_runs_of_a_thread_are_listed_newest_first(service: Service) -> None:
    stored = [await service.enqueue("t1", metadata={"n": number}) for number in range(3)]

    listed = await service.storage.runs.of_thread("t1", RunQuery(page=Page(limit=2)))
    found = await service.storage.runs.of_thread("t1", RunQuery(status="pending", metadata={"n": 1}))

    assert [run.run_id for run in listed] == [stored[2].run.run_id, stored[1].run.run_id]
    assert [run.run_id for run in found] == [stored[1].run.run_id]
    assert await service.storage.runs.of_thread("t1", RunQuery(status="success")) == []


async def test_a_run_is_found_only_on_its_thread(service: Service) -> None:
    stored = await service.enqueue()

    with pytest.raises(NotFound):
        await service.storage.runs.get(stored.run.run_id, new_id())


async def test_only_a_finished_run_can_be_deleted(service: Service) -> None:
    replica = await service.replica()
    run = await service.running()
    with pytest.raises(Conflict, match="running"):
        await service.storage.runs.delete(run.thread_id, run.run_id)
    await service.storage.queue.finish(run, replica, Outcome("success"))

    await service.storage.runs.delete(run.thread_id, run.run_id)

    with pytest.raises(NotFound):
        await service.storage.runs.delete(run.thread_id, run.run_id)


async def test_finished_runs_expire_and_others_stay(service: Service) -> None:
    replica = await service.replica()
    ended = await service.running()
    await service.storage.queue.finish(ended, replica, Outcome("success"))
    waiting = await service.enqueue()

    assert await service.storage.runs.expire(1) == 0
    assert await service.storage.runs.expire(-1) == 1

    with pytest.raises(NotFound):
        await service.storage.runs.get(ended.run_id)
    assert (await service.storage.runs.get(waiting.run.run_id)).status == "pending"


async def test_depth_tells_what_could_run_now_from_what_is_blocked(service: Service) -> None:
    await service.replica()
    busy = await service.running()
    await service.enqueue(busy.thread_id)
    await service.enqueue(delay_seconds=60)
    await service.enqueue(priority=Priority.HIGH, delay_seconds=-50)
    await service.enqueue(priority=Priority.HIGH)

    depth = await service.storage.queue.depth()

    assert (depth.high.waiting, depth.normal.waiting, depth.low.waiting, depth.blocked) == (2, 0, 0, 2)
    assert depth.high.oldest_seconds >= 50
    assert depth.normal.oldest_seconds == 0


async def test_depth_tells_when_the_next_delayed_run_is_due(service: Service) -> None:
    await service.enqueue()
    before = await service.storage.queue.depth()
    await service.enqueue(delay_seconds=7200)
    await service.enqueue(delay_seconds=3600)

    depth = await service.storage.queue.depth()

    assert before.next_due_seconds is None
    assert depth.next_due_seconds is not None
    assert 3000 < depth.next_due_seconds <= 3600


async def test_many_runs_are_stored_together_or_not_at_all(service: Service) -> None:
    busy = (await service.enqueue()).run.thread_id
    new = [NewRun(new_id(), new_id(), service.assistant_id, {}, create_thread=True) for _ in range(3)]
    refused = NewRun(new_id(), busy, service.assistant_id, {}, multitask_strategy="reject")

    with pytest.raises(Conflict):
        await service.storage.queue.enqueue_all([*new, refused], QueueLimits())
    left = (await service.storage.queue.depth()).normal.waiting
    stored = await service.storage.queue.enqueue_all(new, QueueLimits())
    again = await service.storage.queue.enqueue_all(new, QueueLimits())

    assert left == 1
    assert [run.run_id for run in stored] == [one.run_id for one in new]
    assert again == stored


async def test_many_runs_that_need_more_room_than_there_is_are_refused_as_one(service: Service) -> None:
    new = [NewRun(new_id(), new_id(), service.assistant_id, {}, create_thread=True) for _ in range(3)]

    with pytest.raises(QueueFull):
        await service.storage.queue.enqueue_all(new, QueueLimits(normal=2))

    assert (await service.storage.queue.depth()).normal.waiting == 0


async def test_what_a_stateless_run_leaves_is_known_until_it_is_cleared(service: Service) -> None:
    await service.replica()
    ended = await service.running(delete_thread_after=True)
    await service.storage.queue.finish(ended, "r1", Outcome("success"))
    stopped = (await service.enqueue(delete_thread_after=True)).run
    await service.storage.queue.cancel(None, [stopped.run_id], "interrupt")
    kept = await service.running()
    await service.storage.queue.finish(kept, "r1", Outcome("success"))

    orphaned = await service.storage.orphans.older_than(0)
    young = await service.storage.orphans.older_than(3600)
    await service.storage.orphans.forget([ended.thread_id])

    assert set(orphaned) == {ended.thread_id, stopped.thread_id}
    assert young == []
    assert await service.storage.orphans.older_than(0) == [stopped.thread_id]


async def test_checkpoints_of_a_thread_without_a_record_are_left_over_when_their_time_is_over(
    storage: Storage,
) -> None:
    in_an_hour = 3600.0

    await storage.orphans.expect("graph-of-nobody", in_an_hour)
    now, later = await storage.orphans.older_than(0), await storage.orphans.older_than(-2 * in_an_hour)
    await storage.orphans.forget(["graph-of-nobody"])

    assert (now, later) == ([], ["graph-of-nobody"])
    assert await storage.orphans.older_than(-2 * in_an_hour) == []


async def test_runs_that_arrive_together_each_get_what_they_would_get_alone(service: Service) -> None:
    replica = await service.replica()
    threads = [new_id() for _ in range(40)]

    stored = await asyncio.gather(
        *(
            service.enqueue(thread, claim_for=replica, priority=priority)
            for thread in threads
            for priority in (Priority.NORMAL, Priority.HIGH)
        ),
    )

    for first, second in zip(stored[::2], stored[1::2], strict=True):
        runs = await service.storage.runs.of_thread(first.run.thread_id, RunQuery())
        assert {run.run_id for run in runs} == {first.run.run_id, second.run.run_id}
        assert sorted(run.status for run in runs) in (["pending", "pending"], ["pending", "running"])
    depth = await service.storage.queue.depth()
    running = sum(enqueued.claimed for enqueued in stored)
    assert running > 0
    assert depth.high.waiting + depth.normal.waiting + depth.blocked == 80 - running


async def test_runs_that_arrive_together_do_not_pass_the_limit_of_their_queue(service: Service) -> None:
    limits = QueueLimits(normal=140)

    answers = await asyncio.gather(
        *(service.enqueue(limits=limits) for _ in range(200)), return_exceptions=True
    )

    full = [answer for answer in answers if isinstance(answer, QueueFull)]
    assert len(full) == 60 and all(isinstance(answer, (QueueFull, Enqueued)) for answer in answers)
    assert (await service.storage.queue.depth()).normal.waiting == 140


async def test_ends_that_come_together_each_end_their_run(service: Service) -> None:
    replica = await service.replica()
    stored = [await service.enqueue(claim_for=replica) for _ in range(30)]
    lost = replace(stored[7].run, attempt=5)
    runs = [lost if each is stored[7] else each.run for each in stored]

    outcomes = [Outcome("success", values={"n": number}) for number in range(30)]

    ends = await asyncio.gather(
        *(service.storage.queue.finish(*end) for end in zip(runs, [replica] * 30, outcomes, strict=True)),
        return_exceptions=True,
    )

    assert [number for number, end in enumerate(ends) if isinstance(end, LeaseLost)] == [7]
    assert (await service.storage.runs.get(stored[7].run.run_id)).status == "running"
    for number, each in enumerate(stored):
        if number != 7:
            assert (await service.storage.runs.get(each.run.run_id)).status == "success"
            assert (await service.storage.threads.get(each.run.thread_id)).values == {"n": number}


async def test_a_run_that_was_made_from_an_older_assistant_is_not_stored(service: Service) -> None:
    before = await service.storage.assistants.get(service.assistant_id)
    made = await service.enqueue(assistant_as_of=before.updated_at)
    await service.storage.assistants.update(service.assistant_id, {"name": "other"})

    with pytest.raises(AssistantChanged):
        await service.enqueue(thread := new_id(), assistant_as_of=before.updated_at)

    assert made.run.status == "pending"
    with pytest.raises(NotFound):
        await service.storage.threads.get(thread)
    now = await service.storage.assistants.get(service.assistant_id)
    assert (await service.enqueue(assistant_as_of=now.updated_at)).run.status == "pending"


async def test_a_webhook_that_is_given_back_is_due_later_and_was_not_charged(service: Service) -> None:
    replica = await service.replica()
    run = await service.running(webhook="http://127.0.0.1:9/hook")
    await service.storage.queue.finish(run, replica, Outcome("success"))
    (claimed,) = await service.storage.webhooks.claim(10, [0.0])

    await service.storage.webhooks.release(run.run_id, 60.0)
    later = await service.storage.webhooks.claim(10, [0.0])
    await service.storage.webhooks.release(run.run_id, 0.0)
    again = await service.storage.webhooks.claim(10, [0.0])

    assert (claimed.attempt, later) == (1, [])
    assert [webhook.attempt for webhook in again] == [1]


async def test_a_webhook_waits_as_long_as_the_pause_of_its_attempt_says(service: Service) -> None:
    replica = await service.replica()
    run = await service.running(webhook="http://127.0.0.1:9/hook")
    await service.storage.queue.finish(run, replica, Outcome("success"))
    claim = service.storage.webhooks.claim

    first, second, none = [await claim(10, [0.0, 3600.0]) for _ in range(3)]

    assert [[webhook.attempt for webhook in each] for each in (first, second, none)] == [[1], [2], []]


async def test_the_last_pause_of_a_webhook_is_that_of_all_attempts_beyond(service: Service) -> None:
    replica = await service.replica()
    run = await service.running(webhook="http://127.0.0.1:9/hook")
    await service.storage.queue.finish(run, replica, Outcome("success"))

    claimed = [await service.storage.webhooks.claim(10, [3600.0 * i for i in range(n)]) for n in (1, 1, 2, 2)]

    assert [[webhook.attempt for webhook in each] for each in claimed] == [[1], [2], [3], []]


async def test_a_webhook_that_was_called_is_due_no_more_and_the_others_are(service: Service) -> None:
    replica = await service.replica()
    called, other = [await service.running(webhook="http://127.0.0.1:9/hook") for _ in range(2)]
    for run in (called, other):
        await service.storage.queue.finish(run, replica, Outcome("success"))

    await service.storage.webhooks.drop(called.run_id)

    due = await service.storage.webhooks.claim(10, [0.0])
    assert [webhook.run.run_id for webhook in due] == [other.run_id]


async def test_only_runs_that_were_stored_until_a_moment_are_to_be_cancelled(service: Service) -> None:
    run, a_second = (await service.enqueue()).run, timedelta(seconds=1)
    unfinished = service.storage.runs.unfinished

    earlier = await unfinished(["pending"], "interrupt", run.created_at - a_second)
    later = await unfinished(["pending"], "interrupt", run.created_at + a_second)

    assert (earlier, later) == ([], [run.run_id])


async def test_the_runs_of_one_assistant_are_to_be_cancelled_and_no_others(service: Service) -> None:
    storage, other = service.storage, new_id()
    known = await storage.assistants.get(service.assistant_id)
    await storage.assistants.create(replace(known, assistant_id=other))
    await service.replica()
    running = await service.running("t1", assistant_id=other)
    waiting = (await service.enqueue("t1", assistant_id=other)).run
    await service.enqueue("t2")
    soon = waiting.created_at + timedelta(minutes=1)

    found = await storage.runs.unfinished(["pending", "running"], "interrupt", soon, None, other)

    assert set(found) == {running.run_id, waiting.run_id}
