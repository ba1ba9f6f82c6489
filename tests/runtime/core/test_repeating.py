"""What a replica does beside its work goes on, whatever happens to one turn of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from lgs_runtime.background import duties
from lgs_runtime.background.unserved import TURNS_PER_WAIT
from lgs_runtime.checkpoint.options import CheckpointerOptions, ThreadTtl
from lgs_runtime.errors import StorageUnavailable
from lgs_runtime.model import Run
from lgs_runtime.periodic import repeatedly, running
from lgs_runtime.store.options import StoreOptions, TtlOptions
from support.ports import PATIENCE_SECONDS

REAPS_PER_LEASE = duties.REAPS_PER_LEASE
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
        async with asyncio.timeout(PATIENCE_SECONDS):
            await went_well.wait()
        task.cancel()
        await asyncio.wait({task})

    told = [line for line in said if line["event"].startswith("work.")]
    assert [(line["event"], line["log_level"], line["reason"]) for line in told] == [
        ("work.failed", "warning", "away"),
        ("work.failed", "error", "KeyError('a mistake')"),
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

    async with asyncio.timeout(PATIENCE_SECONDS), running(work(), "work"):
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

    async with asyncio.timeout(PATIENCE_SECONDS):
        await failed.wait()
        await reaped.wait()


async def test_a_replica_has_every_duty_beside_its_work(new_replica: Callable[..., Any]) -> None:
    before = asyncio.all_tasks()

    await new_replica("a")

    assert {task.get_name() for task in asyncio.all_tasks() - before} >= DUTIES


async def test_each_duty_is_done_by_its_owner_as_often_as_the_settings_say(
    new_replica: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await new_replica("a")
    monkeypatch.setattr(duties, "REAPS_PER_LEASE", REAPS_PER_LEASE)
    settings = replace(
        replica.services.settings,
        lease_seconds=14.0,
        unserved_seconds=0.5 * TURNS_PER_WAIT,
        store=StoreOptions(ttl=TtlOptions(sweep_interval_minutes=3)),
        checkpointer=CheckpointerOptions(ttl=ThreadTtl(sweep_interval_minutes=4)),
    )

    async def send_webhooks() -> None:
        """Stands for the sender's turn."""

    table = duties.duties_of(replace(replica.services, settings=settings), send_webhooks)

    assert {duty.name: (owner(duty.turn), duty.seconds, duty.at_once) for duty in table} == {
        "unserved": ("UnservedRuns.turn", 0.5, False),
        "reaper": ("Reaper.reap_once", 7.0, False),
        "crons": ("CronScheduler.fire_due", 1.0, True),
        "webhooks": (owner(send_webhooks), 1.0, True),
        "cleanup": ("Cleanup.clean_once", 60.0, True),
        "store": ("sweep", 180.0, False),
        "expiry": ("Expiry.sweep_once", 240.0, True),
        "pruning": ("Pruner.prune_once", 60.0, False),
        "cache": ("Preloader.turn", 1.0, False),
        "budgets": (owner(replica.services.storage.spending.expire), 600.0, True),
    }
    assert {duty.name for duty in table if not duty.spread} == {"cache"}, "replicas take turns apart"


def owner(turn: Any) -> str:
    name: str = getattr(turn, "func", turn).__qualname__
    return name


async def test_the_reaper_and_the_cleanup_go_by_the_settings(
    new_replica: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = await new_replica("a", max_attempts=17, run_ttl_hours=19.0)
    storage, attempts, hours = replica.services.storage, [], []

    async def reap(max_attempts: int, *_: Any) -> Sequence[Run]:
        attempts.append(max_attempts)
        return []

    async def expire(older_than_hours: float) -> int:
        hours.append(older_than_hours)
        return 0

    monkeypatch.setattr(storage.queue, "reap", reap)
    monkeypatch.setattr(storage.runs, "expire", expire)
    for duty in duties.duties_of(replica.services, asyncio.Event().wait):
        if duty.name in ("reaper", "cleanup"):
            await duty.turn()

    assert (set(attempts), set(hours)) == ({17}, {19.0})
