"""What a replica does beside its work goes on, whatever happens to one turn of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.model import Run
from lgs_runtime.periodic import repeatedly, running

DUTIES = {"unserved", "reaper", "crons", "webhooks", "cleanup", "store", "expiry", "pruning", "cache"}


async def test_a_turn_that_fails_is_told_and_followed_by_the_next() -> None:
    ends: list[Exception | None] = [StorageUnavailable("away"), KeyError("a mistake"), None]
    went_well = asyncio.Event()

    async def turn() -> None:
        if ends and (end := ends.pop(0)):
            raise end
        went_well.set()

    with capture_logs() as said:
        task = asyncio.create_task(repeatedly("work", turn, 0))
        async with asyncio.timeout(30):
            await went_well.wait()
        task.cancel()
        await asyncio.wait({task})

    assert [(line["event"], line["log_level"]) for line in said] == [
        ("work.failed", "warning"),
        ("work.failed", "error"),
    ]
    assert task.cancelled()


async def test_work_ends_with_its_context_though_a_driver_swallowed_the_first_cancellation() -> None:
    begun, swallowed, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with asyncio.timeout(60), running(work(), "work"):
        await begun.wait()

    assert swallowed.is_set() and ended.is_set()


@pytest.mark.parametrize(("at_once", "turns"), [(True, 1), (False, 0)])
async def test_the_first_turn_is_taken_at_once_or_after_a_pause(at_once: bool, turns: int) -> None:
    taken = []

    async def turn() -> None:
        taken.append("a turn")

    task = asyncio.create_task(repeatedly("work", turn, 3600, at_once=at_once))
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})

    assert len(taken) == turns


async def test_a_reaper_that_met_what_nobody_thought_of_still_takes_the_runs_of_the_dead(
    new_replica: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await new_replica("a")
    reap, failed = replica.services.storage.queue.reap, asyncio.Event()
    reaped = asyncio.Event()

    async def fails_first(*asked: Any) -> Sequence[Run]:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("nobody thought of this")
        found: Sequence[Run] = await reap(*asked)
        reaped.set()
        return found

    monkeypatch.setattr(replica.services.storage.queue, "reap", fails_first)

    async with asyncio.timeout(30):
        await failed.wait()
        await reaped.wait()


async def test_a_replica_has_every_duty_beside_its_work(new_replica: Callable[..., Any]) -> None:
    before = asyncio.all_tasks()

    await new_replica("a")

    assert {task.get_name() for task in asyncio.all_tasks() - before} >= DUTIES
