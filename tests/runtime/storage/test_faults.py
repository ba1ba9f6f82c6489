"""Nothing acknowledged is lost: runs handed back, lost with a replica, cancelled, or met by a database
gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Literal
from uuid import uuid4

import psycopg
import pytest

from lgs_runtime.errors import Conflict, LeaseLost, NotFound, QueueFull, RollbackAsked, StorageUnavailable
from lgs_runtime.model import Outcome, QueueLimits, Run, Signal
from lgs_runtime.storage import Storage, StorageOptions, open_storage
from support.ports import PATIENCE_SECONDS, wait_until
from support.postgres import PostgresServer
from support.service import Service, at_work

Another = Callable[..., Awaitable[Storage]]
RunsOut = Callable[[str], None]


async def reaped(storage: Storage, max_attempts: int = 3) -> Run:
    """The run that the reaper takes, of a replica whose lease has run out."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := await storage.queue.reap(max_attempts)):
            await asyncio.sleep(0.02)
    (run,) = found
    return run


async def heard(signals: AsyncIterator[Signal], wanted: Signal) -> None:
    """Returns when the signal arrives."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for signal in signals:
            if signal == wanted:
                return


async def test_a_run_handed_back_is_first_and_costs_no_attempt(service: Service) -> None:
    await service.replica()
    run = await service.running()
    await service.enqueue(delay_seconds=-500)

    await service.storage.queue.release("r1", [run])

    assert (await service.storage.runs.get(run.run_id)).attempt == 0
    (again,) = await service.storage.queue.claim("r1", 1)
    assert (again.run_id, again.attempt) == (run.run_id, 1)


async def test_a_replica_can_ask_what_it_holds(service: Service) -> None:
    await service.replica()
    await service.replica("r2")
    mine = [await service.running(), (await service.enqueue(claim_for="r1")).run]
    await service.running(replica="r2")
    ended = await service.running()
    await service.storage.queue.finish(ended, "r1", Outcome("success"))
    await service.enqueue()

    held = await service.storage.queue.held("r1")

    assert sorted(run.run_id for run in held) == sorted(run.run_id for run in mine)
    assert await service.storage.queue.held("nobody") == []


async def test_a_run_that_was_lost_can_not_be_handed_back(service: Service) -> None:
    await service.replica()
    run = await service.running()
    await service.storage.queue.release("r1", [run])
    await service.replica("r2")
    (other,) = await service.storage.queue.claim("r2", 1)

    await service.storage.queue.release("r1", [run])

    assert (await service.storage.runs.get(run.run_id)).status == "running"
    await service.storage.queue.finish(other, "r2", Outcome("success"))


async def test_runs_of_a_replica_that_lives_are_left_alone(service: Service) -> None:
    await service.replica()
    await service.running()

    assert await service.leases["r1"].renew()
    assert await service.storage.queue.reap(3) == []


async def test_a_dead_replicas_run_goes_to_another_and_the_dead_one_is_told(
    service: Service, open_another: Another, lease_runs_out: RunsOut
) -> None:
    dying = await open_another()
    lease = await dying.leases.take("dying")
    run = await service.running(replica="dying")
    lease_runs_out("dying")

    lost = await reaped(service.storage)

    assert (lost.run_id, lost.status, lost.attempt) == (run.run_id, "pending", 1)
    await service.replica("r2")
    (again,) = await service.storage.queue.claim("r2", 1)
    assert (again.run_id, again.attempt) == (run.run_id, 2)
    with pytest.raises(LeaseLost):
        await dying.queue.finish(run, "dying", Outcome("success"))
    assert not await lease.renew()
    await service.storage.queue.finish(again, "r2", Outcome("success"))
    await lease.close()


@pytest.mark.parametrize("way", ["handed back", "lost"])
async def test_a_run_that_was_to_stop_ends_so_where_its_replica_did_not_answer(
    service: Service, open_another: Another, lease_runs_out: RunsOut, way: str
) -> None:
    lease = await (await open_another()).leases.take("dying")
    run = await service.running(replica="dying")
    await service.storage.queue.cancel(None, [run.run_id], "interrupt")

    if way == "handed back":
        await service.storage.queue.release("dying", [run])
    else:
        lease_runs_out("dying")
        await reaped(service.storage)

    ended = await service.storage.runs.get(run.run_id)
    thread = await service.storage.threads.get(run.thread_id)
    assert (ended.status, ended.error) == ("interrupted", None)
    assert (thread.status, thread.error) == ("idle", None)
    await lease.close()


async def test_a_run_that_loses_its_replica_too_often_fails_with_the_reason(
    service: Service, open_another: Another, lease_runs_out: RunsOut
) -> None:
    lease = await (await open_another()).leases.take("dying")
    run = await service.running(replica="dying")
    lease_runs_out("dying")

    lost = await reaped(service.storage, max_attempts=1)

    assert lost.status == "error" and lost.error is not None and "attempt 1 of 1" in lost.error
    thread = await service.storage.threads.get(run.thread_id)
    assert (thread.status, thread.error) == ("error", lost.error)
    await lease.close()


async def test_a_lease_that_ran_out_is_renewed_with_the_runs_that_nobody_took(
    service: Service, open_another: Another, lease_runs_out: RunsOut
) -> None:
    lease = await (await open_another()).leases.take("slow")
    run = await service.running(replica="slow")
    lease_runs_out("slow")

    renewed = await lease.renew()

    assert renewed
    assert await service.storage.queue.reap(3) == []
    assert await service.storage.queue.finish(run, "slow", Outcome("success"))
    await lease.close()


async def test_nobody_takes_its_own_runs(
    service: Service, open_another: Another, lease_runs_out: RunsOut
) -> None:
    lease = await (await open_another()).leases.take("slow")
    run = await service.running(replica="slow")
    lease_runs_out("slow")

    by_itself = await service.storage.queue.reap(3, "slow")
    by_another = await service.storage.queue.reap(3, "other")

    assert by_itself == []
    assert [lost.run_id for lost in by_another] == [run.run_id]
    await lease.close()


async def test_that_a_lease_was_lost_is_told_though_the_first_answer_was_lost(
    service: Service, open_another: Another, lease_runs_out: RunsOut
) -> None:
    lease = await (await open_another()).leases.take("slow")
    await service.running(replica="slow")
    lease_runs_out("slow")
    await reaped(service.storage)

    answers: list[bool] = []
    for _ in range(5):
        renewal = asyncio.create_task(lease.renew())
        await asyncio.sleep(0)
        renewal.cancel()
        await asyncio.wait({renewal})
        answers += [] if renewal.cancelled() else [renewal.result()]
    answers.append(await lease.renew())

    assert answers[0] is False
    await lease.close()


async def test_a_replica_that_starts_again_under_its_name_holds_nothing(service: Service) -> None:
    await service.replica()
    run = await service.running()

    again = await service.storage.leases.take("r1")

    assert (await reaped(service.storage)).run_id == run.run_id
    await again.close()


async def test_many_reapers_take_a_run_once(service: Service, open_another: Another) -> None:
    await service.replica()
    await service.running()
    await service.leases["r1"].close()
    storages = [service.storage, await open_another()]

    found = await asyncio.gather(*(storages[number % 2].queue.reap(3) for number in range(6)))

    assert sum(len(runs) for runs in found) == 1
    await service.replica()


async def test_a_cancelled_run_of_a_dead_replica_ends(
    service: Service, open_another: Another, lease_runs_out: RunsOut
) -> None:
    lease = await (await open_another()).leases.take("dying")
    run = await service.running(replica="dying")
    await service.storage.queue.cancel(run.thread_id, [run.run_id], "interrupt")
    lease_runs_out("dying")

    lost = await reaped(service.storage)

    assert lost.status == "interrupted"
    assert (await service.storage.threads.get(run.thread_id)).status == "idle"
    await lease.close()


async def test_a_cancelled_run_that_is_handed_back_ends(service: Service) -> None:
    await service.replica()
    run = await service.running()
    await service.storage.queue.cancel(None, [run.run_id], "interrupt")

    await service.storage.queue.release("r1", [run])

    assert (await service.storage.runs.get(run.run_id)).status == "interrupted"


async def test_a_waiting_run_is_cancelled_at_once(service: Service) -> None:
    kept = await service.enqueue("t1")
    dropped = await service.enqueue("t1")

    (first,) = await service.storage.queue.cancel("t1", [kept.run.run_id], "interrupt")
    (second,) = await service.storage.queue.cancel("t1", [dropped.run.run_id], "rollback")

    assert first.status == "interrupted"
    assert second.run_id == dropped.run.run_id
    with pytest.raises(NotFound):
        await service.storage.runs.get(dropped.run.run_id)
    assert (await service.storage.threads.get("t1")).status == "idle"


async def test_a_running_run_is_asked_to_stop(service: Service, open_another: Another) -> None:
    await service.replica()
    run = await service.running()
    async with (await open_another()).signals.listen() as signals:
        (asked,) = await service.storage.queue.cancel(run.thread_id, [run.run_id], "interrupt")

        await heard(signals, Signal("cancel", run.run_id))

    assert (asked.status, asked.cancel_requested) == ("running", "interrupt")
    await service.storage.queue.finish(asked, "r1", Outcome("interrupted"))
    assert (await service.storage.runs.get(run.run_id)).status == "interrupted"


async def test_a_run_rolled_back_leaves_nothing(service: Service) -> None:
    await service.replica()
    run = await service.running()
    await service.storage.queue.cancel(run.thread_id, [run.run_id], "rollback")

    with pytest.raises(RollbackAsked):
        await service.storage.queue.finish(run, "r1", Outcome("success", values={"after": True}))
    await service.storage.queue.finish(
        run, "r1", Outcome("interrupted", values={"before": True}, undone=True)
    )

    with pytest.raises(NotFound):
        await service.storage.runs.get(run.run_id)
    thread = await service.storage.threads.get(run.thread_id)
    assert (thread.status, thread.values) == ("idle", {"before": True})


@pytest.mark.parametrize("given_up_by", ["a drain", "a death"])
async def test_a_run_that_is_to_be_rolled_back_is_undone_by_a_replica_when_its_own_is_gone(
    service: Service, given_up_by: str
) -> None:
    await service.replica()
    run = await service.running()
    await service.storage.queue.cancel(run.thread_id, [run.run_id], "rollback")
    await service.storage.queue.cancel(run.thread_id, [run.run_id], "interrupt")

    if given_up_by == "a drain":
        await service.storage.queue.release("r1", [run])
    else:
        await service.leases.pop("r1").close()
        await service.storage.queue.reap(max_attempts=1)
    await service.replica("r2")
    (again,) = await service.storage.queue.claim("r2", 1)

    assert (again.run_id, again.cancel_requested) == (run.run_id, "rollback")


async def test_a_run_that_began_and_waits_again_is_not_forgotten_before_it_is_undone(
    service: Service,
) -> None:
    await service.replica()
    run = await service.running("t1")
    await service.storage.queue.release("r1", [run])

    new = await service.enqueue("t1", multitask_strategy="rollback", claim_for="r1")
    await service.storage.queue.cancel("t1", [run.run_id], "interrupt")
    (claimed,) = await service.storage.queue.claim("r1", 5)
    await service.storage.queue.finish(claimed, "r1", Outcome("interrupted", undone=True))
    (then,) = await service.storage.queue.claim("r1", 5)

    assert not new.claimed
    assert (claimed.run_id, claimed.cancel_requested) == (run.run_id, "rollback")
    assert then.run_id == new.run.run_id


@pytest.mark.parametrize("asked_by", ["a cancellation", "another run"])
@pytest.mark.parametrize("action", ["rollback", "interrupt"])
async def test_a_run_that_is_claimed_while_it_is_cancelled_is_asked_to_stop(
    postgres_uri: str, action: Literal["rollback", "interrupt"], asked_by: str
) -> None:
    async with AsyncExitStack() as stack:
        storage = await open_storage(postgres_uri, StorageOptions(lease_seconds=600))
        stack.push_async_callback(storage.close)
        service = await stack.enter_async_context(at_work(storage))
        run = (await service.enqueue("t1")).run
        with psycopg.connect(postgres_uri) as claim:
            claim.execute(
                "UPDATE lgs_run SET status = 'running', claimed_by = 'r1', attempt = 1 WHERE run_id = %s",
                (run.run_id,),
            )
            if asked_by == "another run":
                work = asyncio.create_task(service.enqueue("t1", multitask_strategy=action))
            else:
                work = asyncio.create_task(storage.queue.cancel("t1", [run.run_id], action))  # type: ignore[assignment]
            await asyncio.to_thread(
                wait_until, lambda: waits_for_a_lock(postgres_uri), "it waits for the claim"
            )
            claim.commit()
        await work

        seen = await storage.runs.get(run.run_id)
    assert (seen.status, seen.cancel_requested) == ("running", action)


def waits_for_a_lock(uri: str) -> bool:
    with psycopg.connect(uri, autocommit=True) as look:
        found = look.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return found.fetchone() is not None


async def test_cancelling_is_all_or_nothing(service: Service) -> None:
    stored = await service.enqueue()

    with pytest.raises(NotFound):
        await service.storage.queue.cancel(None, [stored.run.run_id, "no-such-run"], "interrupt")

    assert (await service.storage.runs.get(stored.run.run_id)).status == "pending"


async def test_a_finished_run_is_not_changed_by_cancelling(service: Service) -> None:
    await service.replica()
    run = await service.running()
    await service.storage.queue.finish(run, "r1", Outcome("success"))

    (after,) = await service.storage.queue.cancel(run.thread_id, [run.run_id], "rollback")

    assert after.status == "success"


async def test_a_cancelled_stateless_run_takes_its_thread_along(service: Service) -> None:
    stored = await service.enqueue(delete_thread_after=True)

    await service.storage.queue.cancel(None, [stored.run.run_id], "interrupt")

    with pytest.raises(NotFound):
        await service.storage.threads.get(stored.run.thread_id)


async def test_reject_refuses_a_busy_thread(service: Service) -> None:
    first = await service.enqueue("t1", multitask_strategy="reject")

    with pytest.raises(Conflict, match=f"busy with run {first.run.run_id}"):
        await service.enqueue("t1", multitask_strategy="reject")


async def test_interrupt_ends_those_that_wait_and_asks_the_one_that_runs(service: Service) -> None:
    await service.replica()
    running = await service.running("t1")
    waiting = await service.enqueue("t1")

    new = await service.enqueue("t1", multitask_strategy="interrupt", claim_for="r1")

    assert not new.claimed
    assert (await service.storage.runs.get(running.run_id)).cancel_requested == "interrupt"
    assert (await service.storage.runs.get(waiting.run.run_id)).status == "interrupted"
    assert await service.storage.queue.claim("r1", 5) == []
    await service.storage.queue.finish(running, "r1", Outcome("interrupted"))
    (next_run,) = await service.storage.queue.claim("r1", 5)
    assert next_run.run_id == new.run.run_id


async def test_rollback_deletes_those_that_wait_and_starts_at_once(service: Service) -> None:
    await service.replica()
    waiting = await service.enqueue("t1")

    new = await service.enqueue("t1", multitask_strategy="rollback", claim_for="r1")

    assert new.claimed
    with pytest.raises(NotFound):
        await service.storage.runs.get(waiting.run.run_id)


async def test_a_refused_run_cancels_nobody(service: Service) -> None:
    await service.replica()
    running = await service.running("t1")

    with pytest.raises(QueueFull):
        await service.enqueue("t1", limits=QueueLimits(normal=0), multitask_strategy="interrupt")

    assert (await service.storage.runs.get(running.run_id)).cancel_requested is None


async def test_a_notification_reaches_every_replica(service: Service, open_another: Another) -> None:
    other = await open_another()
    await service.replica()

    async with other.signals.listen() as theirs, service.storage.signals.listen() as ours:
        stored = await service.enqueue()
        await heard(theirs, Signal("queued", stored.run.run_id))
        await heard(ours, Signal("queued", stored.run.run_id))
        (run,) = await service.storage.queue.claim("r1", 1)
        await service.storage.queue.finish(run, "r1", Outcome("success"))

        await heard(theirs, Signal("finished", run.run_id))


async def test_a_notification_of_a_thread_reaches_every_replica(
    service: Service, open_another: Another
) -> None:
    other = await open_another()
    waiting = await service.enqueue()

    async with other.signals.listen() as theirs, service.storage.signals.listen() as ours:
        service.storage.signals.send(Signal("thread", "one"))
        await heard(theirs, Signal("thread", "one"))
        await heard(ours, Signal("thread", "one"))

        await service.storage.threads.delete(waiting.run.thread_id)
        await heard(theirs, Signal("thread", waiting.run.thread_id))


async def test_who_follows_a_thread_hears_that_a_run_was_cancelled_before_it_began(
    service: Service, open_another: Another
) -> None:
    other = await open_another()
    waiting = (await service.enqueue()).run

    async with other.signals.listen() as theirs:
        await service.storage.queue.cancel(None, [waiting.run_id], "interrupt")

        await heard(theirs, Signal("thread", waiting.thread_id))


async def test_many_notifications_at_once_all_arrive(service: Service, open_another: Another) -> None:
    async with (await open_another()).signals.listen() as signals:
        stored = await asyncio.gather(*(service.enqueue() for _ in range(80)))

        missing = {enqueued.run.run_id for enqueued in stored}
        async with asyncio.timeout(PATIENCE_SECONDS):
            while missing:
                missing.discard((await anext(signals)).subject)


async def test_the_end_of_a_run_wakes_who_waits_for_its_thread(
    service: Service, open_another: Another
) -> None:
    await service.replica()
    run = await service.running()
    await service.enqueue(run.thread_id)

    async with (await open_another()).signals.listen() as signals:
        await service.storage.queue.finish(run, "r1", Outcome("success"))

        await heard(signals, Signal("queued", ""))


async def test_a_postgres_that_was_restarted_is_used_again(postgres_server: PostgresServer) -> None:
    storage = await open_storage(postgres_server.uri, StorageOptions(lease_seconds=60))
    leases = await storage.leases.take("r1")
    async with storage.signals.listen() as signals:
        postgres_server.stop(crash=True)
        with pytest.raises(StorageUnavailable):
            await storage.ping()
        with pytest.raises(StorageUnavailable):
            await leases.renew()

        postgres_server.start()

        await storage.ping()
        assert await leases.renew()
        await heard(signals, Signal("queued", ""))
    await leases.close()
    await storage.close()


async def test_a_closed_storage_says_so(storage: Storage) -> None:
    await storage.close()

    with pytest.raises(StorageUnavailable):
        await storage.ping()


async def test_a_thread_that_was_acknowledged_gets_its_run_whoever_else_gave_up(
    service: Service, open_another: Another
) -> None:
    other = await open_another()
    here = await service.replica()

    async def talks(number: int) -> None:
        thread_id = str(uuid4())
        made = await (service.storage, other)[number % 2].threads.create(thread_id, {})
        assert (await service.storage.threads.get(thread_id)).thread_id == made.thread_id
        claim_for = here if number % 2 else None
        await service.enqueue(thread_id, claim_for=claim_for, create_thread=False)

    talking = [asyncio.ensure_future(talks(number)) for number in range(120)]
    for each in talking[::3]:
        # Each gives up at another point of its way.
        await asyncio.sleep(0.002)
        each.cancel()
    said = await asyncio.gather(*talking, return_exceptions=True)

    assert {type(each) for each in said} <= {type(None), asyncio.CancelledError}
    assert said.count(None) >= 80
