"""A run is cancelled once, whatever ends it, and its nodes may clean up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from lgs_runtime.errors import NotFound
from lgs_runtime.graphs.registry import default_assistant_id
from lgs_runtime.model import FINAL, NewRun, QueueLimits, Run, Signal
from lgs_runtime.threads.removal import remove_thread
from runtime.core.stories import ran
from runtime.core.test_worker import given, hold, until
from support.ports import PATIENCE_SECONDS

NewReplica = Callable[..., Any]
Stopping = Callable[[Any, Run], Awaitable[object]]


async def _interrupt(replica: Any, run: Run) -> None:
    await replica.services.storage.queue.cancel(run.thread_id, [run.run_id], "interrupt")


async def _rollback(replica: Any, run: Run) -> None:
    await replica.services.storage.queue.cancel(run.thread_id, [run.run_id], "rollback")


async def _delete_thread(replica: Any, run: Run) -> None:
    await replica.services.storage.threads.delete(run.thread_id)


def _another_run(strategy: Any) -> Stopping:
    async def stop(replica: Any, run: Run) -> None:
        new = NewRun(str(uuid4()), run.thread_id, default_assistant_id("three_steps"), run.kwargs)
        await replica.services.storage.queue.enqueue(
            NewRun(new.run_id, new.thread_id, new.assistant_id, new.kwargs, multitask_strategy=strategy),
            QueueLimits(),
        )

    return stop


async def _lose_the_lease(replica: Any, run: Run) -> None:
    replica.services.worker.lease_lost()


async def _drain(replica: Any, run: Run) -> None:
    replica.draining = asyncio.create_task(replica.services.worker.drain(0))


STOPS: dict[str, Stopping] = {
    "interrupt": _interrupt,
    "rollback": _rollback,
    "run that interrupts": _another_run("interrupt"),
    "run that rolls back": _another_run("rollback"),
    "lost lease": _lose_the_lease,
    "drain": _drain,
    "deleted thread": _delete_thread,
}

PAIRS = [*pairwise(STOPS), *pairwise(reversed(list(STOPS)[:-1])), ("lost lease", "interrupt")]


async def _looked_at_again(replica: Any, run: Run) -> None:
    """All ways by which the worker may receive a cancellation have been used, more than once."""
    worker, storage = replica.services.worker, replica.services.storage
    for _ in range(3):
        storage.signals.send(Signal("cancel", run.run_id))
        replica.services.notifier.announce(Signal("cancel", run.run_id))
        replica.services.notifier.announce(Signal("queued", ""))
        if worker.slots.open:
            worker.slots.doubtful = True
            worker._claim_loop.wake_up()
            await until(lambda: not (worker.slots.doubtful and worker.slots.open))
        await asyncio.gather(*worker._background)


async def _began(replica: Any, graph: str, folder: Path, stream_mode: str = "values") -> tuple[Run, Path]:
    hold(folder, "works")
    tidies = hold(folder, "tidies")
    run = await replica.start(graph, given(folder, stream_mode=[stream_mode]))
    await until(lambda: "works" in ran(folder))
    return run, tidies


@pytest.mark.parametrize(
    ("graph", "stream_mode"), [("tidying", "values"), ("tidying_alone", "values"), ("tidying", "events")]
)
@pytest.mark.parametrize("why", STOPS)
async def test_a_node_is_cancelled_once_and_cleans_up_as_long_as_it_takes(
    new_replica: NewReplica, tmp_path: Path, why: str, stream_mode: str, graph: str
) -> None:
    replica = await new_replica("a")
    run, tidies = await _began(replica, graph, tmp_path, stream_mode)

    await STOPS[why](replica, run)
    await until(lambda: "cancelled" in ran(tmp_path))
    await _looked_at_again(replica, run)
    assert replica.services.worker.running() == 1, "the attempt waits for its nodes"
    tidies.unlink()
    await until(lambda: {"tidied", "cancelled-again"} & set(ran(tmp_path)))

    assert [name for name in ran(tmp_path) if name != "beside"][:3] == ["works", "cancelled", "tidied"]


@pytest.mark.parametrize(("first", "second"), PAIRS)
async def test_two_who_stop_a_run_at_nearly_the_same_time_cancel_it_once(
    new_replica: NewReplica, tmp_path: Path, first: str, second: str
) -> None:
    replica = await new_replica("a")
    run, tidies = await _began(replica, "tidying", tmp_path)

    await STOPS[first](replica, run)
    await until(lambda: "cancelled" in ran(tmp_path))
    await STOPS[second](replica, run)
    await _looked_at_again(replica, run)
    assert replica.services.worker.running() == 1, "the attempt waits for its nodes"
    tidies.unlink()
    await until(lambda: {"tidied", "cancelled-again"} & set(ran(tmp_path)))

    assert [name for name in ran(tmp_path) if name != "beside"][:3] == ["works", "cancelled", "tidied"]


async def test_a_run_that_took_too_long_is_cancelled_once_whoever_stops_it_then(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    for seconds in (0.3, 3.0, 20.0):  # So long at most a machine takes from the claim to the node.
        folder = tmp_path / str(seconds)
        folder.mkdir()
        replica = await new_replica(f"a-{seconds}", run_timeout_seconds=seconds)
        hold(folder, "works")
        tidies = hold(folder, "tidies")
        run = await replica.start("tidying", given(folder))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "works" not in ran(folder):
                if (await replica.services.storage.runs.get(run.run_id)).status in FINAL:
                    break
                await asyncio.sleep(0.01)
        if "works" in ran(folder):
            break
        replica.services.worker.slots.open = False

    await until(lambda: "cancelled" in ran(folder))
    await _interrupt(replica, run)
    await _looked_at_again(replica, run)
    tidies.unlink()
    ended = await replica.ended(run)

    assert ended.status == "interrupted"
    assert [name for name in ran(folder) if name != "beside"] == ["works", "cancelled", "tidied"]


async def test_nothing_is_run_after_a_node_that_swallows_its_cancellation(
    new_replica: NewReplica, tmp_path: Path
) -> None:
    replica = await new_replica("a")
    run, tidies = await _began(replica, "stubborn", tmp_path)

    await _interrupt(replica, run)
    await until(lambda: "cancelled" in ran(tmp_path))
    tidies.unlink()
    ended = await replica.ended(run)

    assert (ended.status, ran(tmp_path)) == ("interrupted", ["works", "cancelled", "tidied"])
    config = {"configurable": {"thread_id": run.thread_id}}
    latest = await replica.services.checkpointer.aget_tuple(config)
    assert latest.checkpoint["channel_values"]["done"] == ["ignored"]


async def test_a_node_that_goes_on_after_its_time_to_clean_up_is_left_and_reaches_the_thread_no_more(
    new_replica: NewReplica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_runtime.worker.attempt.CLEANUP_SECONDS", 0.3)
    replica = await new_replica("a")
    run, tidies = await _began(replica, "stubborn", tmp_path)
    attempt = replica.services.worker._attempts[run.run_id]

    await _interrupt(replica, run)
    ended = await replica.ended(run)
    await until(lambda: replica.services.worker.running() == 0)
    tidies.unlink()
    await asyncio.wait({attempt.work})

    assert ended.status == "interrupted"
    assert ran(tmp_path) == ["works", "cancelled", "tidied"]
    config = {"configurable": {"thread_id": run.thread_id}}
    latest = await replica.services.checkpointer.aget_tuple(config)
    assert latest.checkpoint["channel_values"].get("done", []) == []


@pytest.mark.parametrize("claims", [True, False], ids=["that can be undone", "that nobody undoes yet"])
async def test_a_thread_whose_run_waits_to_be_undone_is_deleted_at_once(
    new_replica: NewReplica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, claims: bool
) -> None:
    monkeypatch.setattr("lgs_runtime.threads.removal.STOP_SECONDS", 300.0)
    first = await new_replica("a")
    hold(tmp_path, "two")
    run = await first.start("three_steps", given(tmp_path))
    await until(lambda: "two" in ran(tmp_path))
    await first.services.worker.drain(0)
    await _rollback(first, run)
    assert (await first.services.storage.runs.get(run.run_id)).status == "pending"

    second = await new_replica("b") if claims else first
    async with asyncio.timeout(PATIENCE_SECONDS):
        await remove_thread(second.services, run.thread_id)

    with pytest.raises(NotFound):
        await second.services.storage.runs.get(run.run_id)
    config = {"configurable": {"thread_id": run.thread_id}}
    await until(lambda: second.services.worker.running() == 0)
    assert await second.services.checkpointer.aget_tuple(config) is None
