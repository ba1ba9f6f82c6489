"""Runs on real databases: executed, resumed on another replica, handed back, stopped, and streamed to their
followers."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import orjson
import pytest
from structlog.testing import capture_logs

from lgs_runtime.background.cleanup import Cleanup
from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.graphs.registry import default_assistant_id
from lgs_runtime.model import Finished, NewRun, Outcome, QueueLimits, Run
from lgs_runtime.opening import open_services
from lgs_runtime.run_kwargs import RunKwargs
from lgs_runtime.settings import Settings
from lgs_runtime.streams.events import FROM_START
from lgs_runtime.worker import claim_loop
from lgs_runtime.worker.cleanup import CheckpointCleanup
from runtime.core.stories import ran
from support.ports import PATIENCE_SECONDS
from support.waiting import until

NewReplica = Callable[..., Any]
NewProcess = Callable[..., subprocess.Popen[bytes]]
RunsOut = Callable[[str], None]


def given(folder: Path, seconds: float = 0.0, **more: Any) -> RunKwargs:
    return RunKwargs(input={"folder": str(folder), "done": [], "seconds": seconds}, **more)


def hold(folder: Path, name: str) -> Path:
    path = folder / f"hold-{name}"
    path.touch()
    return path


async def heard(replica: Any, run_id: str) -> list[tuple[str, Any]]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [
            (event.event, orjson.loads(event.data))
            async for together in replica.services.streams.subscribe(run_id, FROM_START)
            for event in together
        ]


async def test_a_run_goes_from_the_queue_to_its_result(new_replica: NewReplica, tmp_path: Path) -> None:
    replica = await new_replica("a")

    run = await replica.start("three_steps", given(tmp_path))
    ended = await replica.ended(run)

    assert ended.status == "success"
    assert ran(tmp_path) == ["one", "two", "three"]
    thread = await replica.services.storage.threads.get(run.thread_id)
    assert thread.status == "idle"
    assert thread.values["done"] == ["one", "two", "three"]


async def test_a_run_that_is_a_replicas_without_its_knowing_is_executed(
    new_replica: NewReplica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_runtime.worker.claim_loop.RECHECK_SECONDS", 0.2)
    replica = await new_replica("a")
    storage = replica.services.storage
    new = NewRun(
        str(uuid4()),
        str(uuid4()),
        default_assistant_id("three_steps"),
        given(tmp_path).to_json(),
        create_thread=True,
    )

    # As after a claim or an enqueue that was committed while its answer was lost on the way.
    lost = await storage.queue.enqueue(new, QueueLimits(), claim_for="a")
    ended = await replica.ended(lost.run)

    assert lost.claimed
    assert (ended.status, ended.attempt) == ("success", 1)
    assert ran(tmp_path) == ["one", "two", "three"]


async def test_what_a_replica_does_is_not_taken_for_forgotten(
    new_replica: NewReplica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_runtime.worker.claim_loop.RECHECK_SECONDS", 0.0)
    replica = await new_replica("a", concurrency=5)
    runs = []
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        runs.append((folder, await replica.start("three_steps", given(folder))))

    ended = [await replica.ended(run) for _, run in runs]

    assert [run.status for run in ended] == ["success"] * 20
    assert [ran(folder) for folder, _ in runs] == [["one", "two", "three"]] * 20


async def test_a_run_whose_replica_was_killed_goes_on_from_its_last_checkpoint(
    new_replica: NewReplica, new_process: NewProcess, lease_runs_out: RunsOut, tmp_path: Path
) -> None:
    second = await new_replica("b", concurrency=1)
    blocker = hold(tmp_path, "one")
    busy = await second.start("three_steps", given(tmp_path))
    await until(lambda: ran(tmp_path) == ["one"])
    killed = new_process("a")
    folder = tmp_path / "other"
    folder.mkdir()
    gate = hold(folder, "two")
    run = await second.start("three_steps", given(folder, durability="sync"))
    await until(lambda: ran(folder) == ["one", "two"])

    killed.kill()
    killed.wait()
    lease_runs_out("a")
    gate.unlink()
    blocker.unlink()
    ended = await second.ended(run)

    assert ended.status == "success"
    assert ended.attempt == 2
    assert ran(folder) == ["one", "two", "two", "three"]
    assert (await second.services.storage.threads.get(run.thread_id)).values["done"] == [
        "one",
        "two",
        "three",
    ]
    assert (await second.ended(busy)).status == "success"


async def test_a_drain_lets_a_step_end_and_hands_the_rest_back_without_running_any_step_twice(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    first = await new_replica("a")
    gate = hold(tmp_path, "two")
    run = await first.start("three_steps", given(tmp_path))
    await until(lambda: ran(tmp_path) == ["one", "two"])
    second = await new_replica("b")

    draining = asyncio.create_task(first.services.worker.drain(PATIENCE_SECONDS))
    attempt = next(iter(first.services.worker._attempts.values()))
    await until(lambda: attempt.control.drain_requested)
    gate.unlink()

    assert await draining == 1
    ended = await second.ended(run)
    assert ended.status == "success"
    assert ended.attempt == 1
    assert ran(tmp_path) == ["one", "two", "three"]


async def test_a_drain_hands_back_what_does_not_end_in_time(new_replica: NewReplica, tmp_path: Path) -> None:
    first = await new_replica("a")
    gate = hold(tmp_path, "one")
    run = await first.start("three_steps", given(tmp_path))
    await until(lambda: ran(tmp_path) == ["one"])

    handed_back = await first.services.worker.drain(0.2)
    gate.unlink()
    second = await new_replica("b")
    ended = await second.ended(run)

    assert handed_back == 1
    assert (ended.status, ended.attempt) == ("success", 1)
    assert ran(tmp_path) == ["one", "one", "two", "three"]


async def test_a_graph_that_raises_ends_its_run_in_error_and_is_not_tried_again(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    replica = await new_replica("a")

    run = await replica.start("raising", given(tmp_path))
    ended = await replica.ended(run)

    assert (ended.status, ended.error) == ("error", "ValueError: the graph is at fault")
    assert ran(tmp_path) == ["raises"]
    assert (await replica.services.storage.threads.get(run.thread_id)).status == "error"
    error = {"error": "ValueError", "message": "the graph is at fault"}
    assert [event for event in await heard(replica, run.run_id) if event[0] == "error"] == [("error", error)]


async def test_an_exception_that_can_not_say_what_it_is_ends_its_run_in_error(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    replica = await new_replica("a")

    run = await replica.start("raising_what_has_no_text", given(tmp_path))
    ended = await replica.ended(run)

    assert (ended.status, ended.error) == ("error", "_Speechless: ")
    assert ran(tmp_path) == ["raises"]


async def test_a_run_that_takes_too_long_ends_in_timeout(new_replica: NewReplica, tmp_path: Path) -> None:
    replica = await new_replica("a", run_timeout_seconds=0.3)
    hold(tmp_path, "one")

    run = await replica.start("three_steps", given(tmp_path))
    ended = await replica.ended(run)

    assert ended.status == "timeout"
    assert "0.3 s" in ended.error


async def test_a_cancelled_run_stops_and_its_thread_can_go_on(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    here, there = await new_replica("a", concurrency=1), await new_replica("b", concurrency=1)
    gate = hold(tmp_path, "two")
    run = await here.start("three_steps", given(tmp_path))
    await until(lambda: ran(tmp_path) == ["one", "two"])

    await there.services.storage.queue.cancel(run.thread_id, [run.run_id], "interrupt")
    ended = await there.ended(run)

    assert ended.status == "interrupted"
    assert (await here.services.storage.threads.get(run.thread_id)).status == "interrupted"
    gate.unlink()
    again = await here.start("three_steps", RunKwargs(), thread_id=run.thread_id)
    assert (await here.ended(again)).status == "success"
    assert ran(tmp_path) == ["one", "two", "two", "three"]


async def test_a_rolled_back_run_leaves_no_trace(new_replica: NewReplica, tmp_path: Path) -> None:
    replica = await new_replica("a")
    before = await replica.start("three_steps", given(tmp_path))
    await replica.ended(before)
    hold(tmp_path, "two")
    run = await replica.start("three_steps", given(tmp_path), thread_id=before.thread_id)
    await until(lambda: len(ran(tmp_path)) == 5)

    await replica.services.storage.queue.cancel(run.thread_id, [run.run_id], "rollback")
    ended = await replica.ended(run)

    assert ended is None
    config = {"configurable": {"thread_id": run.thread_id}}
    latest = await replica.services.checkpointer.aget_tuple(config)
    assert latest.metadata["run_id"] == before.run_id
    thread = await replica.services.storage.threads.get(run.thread_id)
    assert (thread.status, thread.values["done"]) == ("idle", ["one", "two", "three"])


async def test_a_run_that_is_rolled_back_at_the_moment_of_its_end_leaves_no_trace(
    new_replica: NewReplica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await new_replica("a")
    before = await replica.start("three_steps", given(tmp_path))
    await replica.ended(before)
    storage = replica.services.storage
    finish = storage.queue.finish

    async def finish_after_rollback(run: Run, by: str, outcome: Outcome) -> Finished:
        await storage.queue.cancel(run.thread_id, [run.run_id], "rollback")
        return await finish(run, by, outcome)

    monkeypatch.setattr(storage.queue, "finish", finish_after_rollback)
    run = await replica.start("three_steps", given(tmp_path), thread_id=before.thread_id)

    assert await replica.ended(run) is None
    latest = await replica.services.checkpointer.aget_tuple({"configurable": {"thread_id": run.thread_id}})
    assert latest.metadata["run_id"] == before.run_id
    thread = await storage.threads.get(run.thread_id)
    assert (thread.status, thread.values["done"]) == ("idle", ["one", "two", "three"])


async def test_a_run_that_was_handed_back_and_is_rolled_back_while_it_waits_leaves_no_trace(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    here = await new_replica("a")
    before = await here.start("three_steps", given(tmp_path))
    await here.ended(before)
    hold(tmp_path, "two")
    run = await here.start("three_steps", given(tmp_path), thread_id=before.thread_id)
    await until(lambda: len(ran(tmp_path)) == 5)
    await here.services.worker.drain(0)
    storage = here.services.storage
    (waits,) = await storage.queue.cancel(run.thread_id, [run.run_id], "rollback")

    there = await new_replica("b")

    assert (waits.status, waits.cancel_requested) == ("pending", "rollback")
    assert await there.ended(run) is None
    latest = await there.services.checkpointer.aget_tuple({"configurable": {"thread_id": run.thread_id}})
    assert latest.metadata["run_id"] == before.run_id
    assert ran(tmp_path)[3:] == ["one", "two"]


async def test_a_graph_that_asks_leaves_its_thread_interrupted_and_goes_on_with_the_answers(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    replica = await new_replica("a")
    storage = replica.services.storage

    run = await replica.start("asking", given(tmp_path))
    assert (await replica.ended(run)).status == "success"
    thread = await storage.threads.get(run.thread_id)
    assert thread.status == "interrupted"
    assert [i["value"] for task in thread.interrupts.values() for i in task] == ["first?"]

    answer = await replica.start("asking", RunKwargs(command={"resume": "A"}), thread_id=run.thread_id)
    await replica.ended(answer)
    thread = await storage.threads.get(run.thread_id)
    assert [i["value"] for task in thread.interrupts.values() for i in task] == ["second?"]

    answer = await replica.start("asking", RunKwargs(command={"resume": "B"}), thread_id=run.thread_id)
    await replica.ended(answer)
    thread = await storage.threads.get(run.thread_id)
    assert (thread.status, thread.values["done"]) == ("idle", ["A", "B", "last"])


async def test_an_answer_that_was_taken_in_before_a_crash_does_not_answer_the_next_question(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    first = await new_replica("a")
    run = await first.start("asking", given(tmp_path))
    await first.ended(run)
    gate = hold(tmp_path, "asks")
    answer = await first.start(
        "asking", RunKwargs(command={"resume": "A"}, durability="sync"), thread_id=run.thread_id
    )
    await until(lambda: ran(tmp_path)[-1] == "got-A")

    await first.services.worker.drain(0.2)
    gate.unlink()
    second = await new_replica("b")
    assert (await second.ended(answer)).status == "success"

    thread = await second.services.storage.threads.get(run.thread_id)
    assert thread.status == "interrupted"
    assert [i["value"] for task in thread.interrupts.values() for i in task] == ["second?"]


async def test_the_finished_tasks_of_a_step_that_was_cut_do_not_run_again(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    first = await new_replica("a")
    gate = hold(tmp_path, "right")
    run = await first.start("fan", given(tmp_path, durability="sync"))
    config = {"configurable": {"thread_id": run.thread_id}}
    await until(lambda: sorted(ran(tmp_path)) == ["left", "right"])
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await _has_writes(first.services.checkpointer, config):
            await asyncio.sleep(0.01)

    await first.services.worker.drain(0.2)
    gate.unlink()
    second = await new_replica("b")
    assert (await second.ended(run)).status == "success"

    assert sorted(ran(tmp_path)) == ["join", "left", "right", "right"]


async def _has_writes(checkpointer: Any, config: Any) -> bool:
    latest = await checkpointer.aget_tuple(config)
    return latest is not None and any(channel == "done" for _, channel, _ in latest.pending_writes)


async def test_a_run_that_stopped_at_a_breakpoint_is_not_carried_past_it_by_another_attempt(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    replica = await new_replica("a")
    run = await replica.start("three_steps", given(tmp_path, interrupt_before=["two"]))
    ended = await replica.ended(run)

    repeated = await _execute_again(replica, ended)

    assert ran(tmp_path) == ["one"]
    assert repeated.thread_status == "interrupted"


async def test_a_run_that_had_ended_when_its_replica_died_runs_nothing_again(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    replica = await new_replica("a")
    run = await replica.start("three_steps", given(tmp_path))
    ended = await replica.ended(run)

    repeated = await _execute_again(replica, ended)

    assert ran(tmp_path) == ["one", "two", "three"]
    assert (repeated.status, repeated.values["done"]) == ("success", ["one", "two", "three"])


async def _execute_again(replica: Any, run: Any) -> Any:
    """What a second attempt does with a run whose first one ended without being able to store that it did."""
    from lgs_runtime.worker.attempt import Attempt  # noqa: PLC0415
    from lgs_runtime.worker.publisher import Publisher  # noqa: PLC0415

    services = replica.services
    publisher = Publisher(services.streams, services.metrics, run)
    second = replace(run, attempt=run.attempt + 1)
    outcome = await services.worker._executor.execute(Attempt(second), publisher)
    await publisher.close()
    return outcome


async def test_a_follower_hears_modes_by_name_and_ids_that_grow(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    replica = await new_replica("a")

    run = await replica.start("writing", given(tmp_path, stream_mode=["updates", "custom"]))
    events = await heard(replica, run.run_id)

    assert events[0] == ("metadata", {"run_id": run.run_id, "attempt": 1})
    assert [data["token"] for name, data in events if name == "custom"] == list(range(20))
    assert ("updates", {"node": {"done": ["writes"]}}) in events
    assert events[-1][0] == "end"
    assert "values" not in {name for name, _ in events}


async def test_a_stateless_run_keeps_its_result_and_nothing_else(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    replica = await new_replica("a")

    run = await replica.start("three_steps", given(tmp_path, temporary=True), delete_thread_after=True)
    ended = await replica.ended(run)

    assert ended.result["done"] == ["one", "two", "three"]
    config = {"configurable": {"thread_id": run.thread_id}}
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await replica.services.checkpointer.aget_tuple(config) is not None:
            await asyncio.sleep(0.01)


async def test_what_a_stateless_run_left_behind_is_cleared_by_any_replica(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    replica = await new_replica("a")
    # As a replica leaves it that dies after the end of the run: nobody has cleared the checkpoints.
    run = await replica.start("three_steps", given(tmp_path), delete_thread_after=True)
    await replica.ended(run)
    services = replica.services
    config = {"configurable": {"thread_id": run.thread_id}}
    assert await services.checkpointer.aget_tuple(config) is not None
    cleanup = Cleanup(services.storage, services.checkpointer, run_ttl_hours=1.0)

    cleared = [await cleanup.clean_orphaned(0), await cleanup.clean_orphaned(0)]

    assert cleared == [1, 0]
    assert await services.checkpointer.aget_tuple(config) is None


async def test_a_graph_from_a_factory_gets_the_config_of_its_run(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    replica = await new_replica("a")
    names = {"configurable": {"names": ["x", "y"]}}

    run = await replica.start("factory", given(tmp_path, config=names))

    assert (await replica.ended(run)).status == "success"
    assert ran(tmp_path) == ["x", "y"]


async def test_a_cached_node_is_not_run_again(new_replica: NewReplica, tmp_path: Path) -> None:
    replica = await new_replica("a")

    for _ in range(2):
        run = await replica.start("cached", given(tmp_path))
        assert (await replica.ended(run)).status == "success"

    assert ran(tmp_path) == ["costly"]


async def test_a_waiting_run_of_a_full_replica_is_claimed_when_a_slot_is_free(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    replica = await new_replica("a", concurrency=2)

    runs = [await replica.start("three_steps", given(tmp_path)) for _ in range(10)]
    ended = [await replica.ended(run) for run in runs]

    assert {run.status for run in ended} == {"success"}
    assert len(ran(tmp_path)) == 30


async def test_a_replica_whose_lease_was_lost_drops_its_runs_and_others_carry_them_on(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    first = await new_replica("a", concurrency=1)
    gate = hold(tmp_path, "two")
    run = await first.start("three_steps", given(tmp_path, durability="sync"))
    await until(lambda: ran(tmp_path) == ["one", "two"])
    first.services.worker.slots.open = False

    first.services.worker.lease_lost()
    await until(lambda: first.services.worker.running() == 0)
    assert (await first.services.storage.runs.get(run.run_id)).status == "running"
    other_name = await first.services.storage.leases.take("a")
    await other_name.close()
    gate.unlink()
    second = await new_replica("b")
    ended = await second.ended(run)

    assert ended.status == "success"
    assert ran(tmp_path) == ["one", "two", "two", "three"]


async def test_a_run_that_kills_every_replica_ends_in_error_and_its_followers_hear_why(
    new_replica: NewReplica, new_process: NewProcess, lease_runs_out: RunsOut, tmp_path: Path
) -> None:
    watcher = await new_replica("b", max_attempts=1)
    watcher.services.worker.slots.open = False
    process = new_process("a")
    hold(tmp_path, "one")
    run = await watcher.start("three_steps", given(tmp_path))
    listener = asyncio.create_task(heard(watcher, run.run_id))
    await until(lambda: ran(tmp_path) == ["one"])

    process.kill()
    process.wait()
    lease_runs_out("a")
    ended = await watcher.ended(run)

    assert (ended.status, ended.attempt) == ("error", 1)
    names = [name for name, _ in await listener]
    assert names[-2:] == ["error", "end"]


async def test_a_fault_of_the_runtime_ends_the_run_with_its_reason_instead_of_leaving_it_running(
    new_replica: NewReplica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await new_replica("a")

    async def breaks(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("lgs_runtime.worker.execution.Executor.execute", breaks)
    ended = await replica.ended(await replica.start("three_steps", given(tmp_path)))

    assert (ended.status, ended.error) == ("error", "RuntimeError: a fault of ours")


async def test_a_claim_that_fails_for_a_reason_nobody_thought_of_is_made_again(
    new_replica: NewReplica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await new_replica("a")
    queue = type(replica.services.storage.queue)
    claim, failures = queue.claim, [KeyError("nobody thought of this"), KeyError("nor of this")]

    async def claims(*given: Any) -> Any:
        if failures:
            raise failures.pop()
        return await claim(*given)

    monkeypatch.setattr(queue, "claim", claims)
    await until(lambda: not failures)

    assert (await replica.ended(await replica.start("three_steps", given(tmp_path)))).status == "success"


async def test_checkpoints_that_can_not_be_deleted_for_a_reason_nobody_thought_of_hold_up_no_others() -> None:
    pruned: list[str] = []

    class Saver:
        async def aprune(self, thread_ids: Sequence[str], *, strategy: str) -> None:
            if "odd" in thread_ids:
                raise KeyError("nobody thought of this")
            pruned.extend(thread_ids)

    class Kept:
        async def forget(self, thread_ids: Sequence[str]) -> None:
            pass

    cleanup = CheckpointCleanup(cast(Any, Kept()), cast(Any, Saver()))
    cleanup.schedule("odd")
    await cleanup.close()

    cleanup.schedule("even")
    await cleanup.close()

    assert pruned == ["even"]


@pytest.mark.parametrize("database_uri", ["sqlite"], indirect=True)
async def test_a_run_whose_end_is_refused_is_not_executed_again_and_ends_when_it_can(
    new_replica: NewReplica, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_loop, "RECHECK_SECONDS", 0.1)
    monkeypatch.setattr(claim_loop, "RETRY_SECONDS", 0.1)
    replica = await new_replica("a")
    path = settings.database_uri.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE TRIGGER refuse BEFORE UPDATE OF status ON lgs_run "
            "WHEN NEW.status IN ('success', 'error') BEGIN SELECT RAISE(ABORT, 'refused by the test'); END"
        )

    with capture_logs() as said:
        run = await replica.start("three_steps", given(tmp_path))
        await until(lambda: sum(line["event"] == "run.end_refused" for line in said) >= 3)
    with closing(sqlite3.connect(path)) as database:
        database.execute("DROP TRIGGER refuse")
    ended = await replica.ended(run)

    assert (ended.status, ended.attempt) == ("error", 1)
    assert "could not be stored" in ended.error
    assert ran(tmp_path) == ["one", "two", "three"]
    assert not [line for line in said if line["event"] == "run.found"]


async def test_a_canary_that_is_still_starting_leaves_its_threads_to_the_others(
    settings: Settings, new_replica: NewReplica, tmp_path: Path
) -> None:
    """Its warm-up may take minutes, and its application's start have no end."""
    stable = await new_replica("stable", revision="1")
    own = replace(settings, replica_id="canary", revision="2", canary_percent=100)
    async with AsyncExitStack() as stack:
        canary = await open_services(own, stack, asyncio.Event())
        first = await stable.ended(await stable.start("three_steps", given(tmp_path)))
        await canary.worker.start()
        second = await stable.ended(await stable.start("three_steps", given(tmp_path)))
        await canary.worker.drain(0)

    assert [each.metadata["lgs_revision"] for each in (first, second)] == ["1", "2"]


async def test_a_canary_that_drains_leaves_its_threads_to_the_others_whatever_becomes_of_the_database(
    new_replica: NewReplica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others could not be told at first, and then knew nothing of it with a new lease."""
    stable = await new_replica("stable", revision="1")
    canary = await new_replica("canary", revision="2", canary_percent=100)
    held, queue, away = hold(tmp_path, "two"), canary.services.storage.queue, [True]
    leave = queue.leave

    async def leave_later(replica: str) -> None:
        if away:
            away.clear()
            raise StorageUnavailable("a failover")
        await leave(replica)

    monkeypatch.setattr(queue, "leave", leave_later)
    await stable.start("three_steps", given(tmp_path))
    await until(lambda: canary.services.worker.running() == 1)
    draining = asyncio.create_task(canary.services.worker.drain(PATIENCE_SECONDS))
    await stable.start("three_steps", given(tmp_path))
    await until(lambda: stable.services.worker.running() == 1)
    await queue.join("canary")  # as a lease that is taken anew has it
    canary.services.worker.lease_lost()
    await stable.start("three_steps", given(tmp_path))
    await until(lambda: stable.services.worker.running() > 1)
    held.unlink()
    await draining


async def test_a_canary_runs_its_threads_and_leaves_them_to_the_others_as_soon_as_it_drains(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    stable = await new_replica("stable", revision="1")
    canary = await new_replica("canary", revision="2", canary_percent=100)
    held = hold(tmp_path, "two")

    first = await stable.start("three_steps", given(tmp_path))
    await until(lambda: canary.services.worker.running() == 1)
    draining = asyncio.create_task(canary.services.worker.drain(PATIENCE_SECONDS))
    second = await stable.start("three_steps", given(tmp_path))
    await until(lambda: stable.services.worker.running() == 1)
    held.unlink()
    await draining

    ended = [(await stable.ended(run)).metadata["lgs_revision"] for run in (first, second)]
    assert ended == ["2", "1"]
